"""The state folder: where each file of a running Signalbox lies, and who may run on it.

`docs/architecture.md` lists the files. The folder belongs to one supervisor at a time, which holds
an advisory lock on `lock`; the kernel drops it when that process ends, however it ends.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_cli.failure import Failure
from signalbox_snapshot import signing_keys

FLEET: Final = "local"
"""Name of the fleet of one machine."""

MAX_SOCKET_PATH: Final = 100
"""Longest path of a Unix socket, in bytes, that every platform accepts (Linux: 107)."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths below one state folder. `root` is absolute."""

    root: Path

    @classmethod
    def at(cls, folder: Path) -> "StateFolder":
        """The state folder at a path, whether it exists or not."""
        return cls(folder.absolute())

    @property
    def lock(self) -> Path:
        """Locked by the supervisor; holds its process id."""
        return self.root / "lock"

    @property
    def ledger(self) -> Path:
        """The authority's database."""
        return self.root / "ledger.db"

    @property
    def authority_socket(self) -> Path:
        """Where the authority listens."""
        return self.root / "authority.sock"

    @property
    def up_socket(self) -> Path:
        """Where the supervisor offers objects with status."""
        return self.root / "up.sock"

    @property
    def head(self) -> Path:
        """The released snapshot."""
        return self.root / "head.json"

    @property
    def rollback(self) -> Path:
        """What `signalbox rollback` asked for last."""
        return self.root / "rollback.json"

    @property
    def signing_key(self) -> Path:
        """Private key that snapshots are signed with."""
        return self.root / "signing.key"

    @property
    def verification_key(self) -> Path:
        """Public key that proxies trust."""
        return self.root / "signing.pub"

    @property
    def control_token(self) -> Path:
        """Bearer token of the proxies' control ports."""
        return self.root / "control.token"

    @property
    def dev_keys(self) -> Path:
        """Folder of the keys that `up` made for agents."""
        return self.root / "dev-keys"

    @property
    def credentials(self) -> Path:
        """Folder of the simulated provider's credentials."""
        return self.root / "credentials"

    @property
    def simulator(self) -> Path:
        """Folder of the simulated provider's bill."""
        return self.root / "simulator"

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.root / "logs"

    @property
    def objects(self) -> Path:
        """What an API server would remember of each object: uid, generation, creation."""
        return self.root / "objects.json"

    @property
    def accepted(self) -> Path:
        """The accepted form of every object, for when a file is broken."""
        return self.root / "accepted.json"

    def proxy(self, name: str) -> Path:
        """Folder of one proxy."""
        return self.root / name

    def journals(self) -> list[Path]:
        """Journal folders of every proxy that ever ran here."""
        return sorted(self.root.glob("proxy-*/journal"))

    def prepare(self) -> None:
        """Creates the folders, readable by their owner only."""
        longest = self.authority_socket
        if len(os.fsencode(longest)) > MAX_SOCKET_PATH:
            raise Failure(
                f"the path {longest} is too long for a Unix socket ({MAX_SOCKET_PATH} bytes at"
                " most); choose a shorter --state"
            )
        try:
            for folder in (self.root, self.dev_keys, self.credentials, self.simulator, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise Failure(
                f"cannot use the state folder {self.root}: {error.strerror}; choose another --state"
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; raises Failure when another one has it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                raise Failure(
                    f"Signalbox already runs on {self.root} (process {holder}); end that one, or"
                    " start another with its own --state and ports"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def signing_keys(self) -> Ed25519PrivateKey:
        """The key that snapshots are signed with, made at the first start."""
        if not self.signing_key.exists():
            made = Ed25519PrivateKey.generate()
            write_private(self.signing_key, signing_keys.private_pem(made))
        try:
            key = signing_keys.load_private(self.signing_key.read_bytes())
        except (ValueError, TypeError, OSError) as error:
            raise Failure(
                f"cannot use {self.signing_key}: {error}; restore it, or start with another --state"
            ) from None
        write_private(self.verification_key, signing_keys.public_pem(key.public_key()))
        return key

    def token(self) -> str:
        """The control ports' bearer token, made at the first start."""
        if not self.control_token.exists():
            write_private(self.control_token, secrets.token_urlsafe(32).encode())
        return self.control_token.read_text(encoding="ascii").strip()


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

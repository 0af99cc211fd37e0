"""What signing in to one cloud takes: what to fetch, when, and how a call proves who sends it.

A signer is pure but for what it is given: it asks the network by `Fetch`, files and environment by
`Surroundings`, and is told the time. So every one of them runs in tests as it runs in a pod.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from signalbox_snapshot.snapshot import Lane


class SignInError(Exception):
    """No credential came about. The text names what is missing or who refused, never a secret."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of a token service. `body` is at most `MAX_ANSWER` bytes and may be secret."""

    status: int
    body: bytes = field(repr=False)


class Fetch(Protocol):
    """Asks a token service; never follows redirects, never uses a proxy of the environment."""

    async def __call__(
        self,
        method: Literal["GET", "POST", "PUT"],
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Fetched:
        """Send and wait for the whole answer. Raises `SignInError` where none comes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pod has: environment variables, files by path, long-lived credentials by name.

    `read` raises OSError; `credential` gives None where there is none of that name.
    """

    environment: Mapping[str, str] = field(repr=False)
    read: Callable[[str], str] = field(repr=False)
    credential: Callable[[str], str | None] = field(repr=False)
    fetch: Fetch = field(repr=False)


class Unsigned(NamedTuple):
    """A call that is complete but for what proves who sends it. Header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Signer(Protocol):
    """Signs calls in the name of one identity of one cloud. One object for each identity."""

    @property
    def renew_at(self) -> int:
        """From when on it should be renewed, in seconds since the epoch; 0 before the first."""

    async def renew(self, now_s: int) -> None:
        """Sign in again. Raises `SignInError`; what was held is then kept until its end."""

    def headers(self, call: Unsigned, now_s: int) -> dict[str, str]:
        """The headers to add to a call. Raises `SignInError` while nothing valid is held."""


SignerFactory = Callable[[Lane, Surroundings], Signer]
"""Makes the signer of a lane's identity (`Lane.auth_key`, `Lane.identity`); touches nothing yet."""

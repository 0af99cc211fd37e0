"""What a proxy process gives its signers: environment, files, and the way to the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import aiohttp

from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.signin.contract import Fetched, SignInError, Surroundings

MAX_ANSWER: Final = 1 << 20
MAX_FILE: Final = 1 << 18
TIMEOUT_S: Final = 10.0

_CLOUDS: Final = ("AWS_", "AZURE_", "GOOGLE_", "GCE_")


def surroundings_of(environment: Mapping[str, str], credentials: CredentialStore) -> Surroundings:
    """The surroundings of this process; of its environment, only what the clouds name theirs."""
    return Surroundings(
        environment={
            name: value for name, value in environment.items() if name.startswith(_CLOUDS)
        },
        read=_read,
        credential=credentials.get,
        fetch=_fetch,
    )


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    if len(raw) > MAX_FILE:
        raise OSError(f"larger than {MAX_FILE} bytes")
    return raw.decode()


async def _fetch(
    method: Literal["GET", "POST", "PUT"],
    url: str,
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Fetched:
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False
            ) as session,
            session.request(
                method, url, headers=dict(headers), data=body or None, allow_redirects=False
            ) as answer,
        ):
            raw = await answer.content.read(MAX_ANSWER + 1)
            while len(raw) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER)):
                raw += more
            if len(raw) > MAX_ANSWER:
                raise SignInError("the token service's answer is too long")
            return Fetched(answer.status, raw)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise SignInError(f"the token service cannot be asked ({type(error).__name__})") from None

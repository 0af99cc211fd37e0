"""Takes credentials out of providers' error messages before anybody sees them."""

import re
from typing import Final

_KEY_LIKE: Final = (
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|gsk|xai|pplx|nvapi|hf|ghp|sbx)[-_]|AIza|AKIA|ASIA|eyJ)"
    r"[-_A-Za-z0-9*.]{8,512}"
    r"|[Bb]earer\s{1,4}[-_A-Za-z0-9*.+/=~]{4,2048}"
    r"|(?<![-_A-Za-z0-9])[-_A-Za-z0-9]{4,12}\*{4,512}[-_A-Za-z0-9]{0,12}"
    r"|(?<![-_A-Za-z0-9+=])[-_A-Za-z0-9+]{40,4096}={0,2}(?![-_A-Za-z0-9+=])"
)
_TEXT: Final = re.compile(_KEY_LIKE)
_BYTES: Final = re.compile(_KEY_LIKE.encode())


def scrub(text: str) -> str:
    """Replace everything that looks like a key; providers quote the key they refused."""
    return _TEXT.sub("[removed]", text)


def scrub_bytes(data: bytes) -> bytes:
    """The same for bytes on their way through."""
    return _BYTES.sub(b"[removed]", data)

"""What decoding bytes of strangers raises: providers' answers, clients' bodies."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not the JSON that was expected, no UTF-8 within a string, or nested too deeply."""

"""Names of runs: `r_` and 26 characters that sort by time.

48 bits of milliseconds since the epoch and 80 random bits, in Crockford's base 32, as ULIDs are
(https://github.com/ulid/spec), in lower case.
"""

import os

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
PREFIX = "r_"
LENGTH = 26

_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)


def new_run_id(now_ms: int) -> str:
    """A new name for a run that starts now."""
    value = (now_ms << 80) | int.from_bytes(os.urandom(10), "big")
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]
    return PREFIX + "".join(pairs)


def is_run_id(text: str) -> bool:
    """Whether `text` could be one; bounds what is looked up."""
    body = text.removeprefix(PREFIX)
    return (
        text.startswith(PREFIX)
        and len(body) == LENGTH
        and all(letter in ALPHABET for letter in body)
    )

"""Names of runs: `r_` and 26 characters that sort by time.

48 bits of milliseconds since the epoch and 80 random bits, in Crockford's base 32, as ULIDs are
(https://github.com/ulid/spec), in lower case.
"""

import os
from functools import lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
PREFIX = "r_"
LENGTH = 26

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""Ten bits as two letters."""


def new_run_id(now_ms: int) -> str:
    """A new name for a run that starts now."""
    drawn = int.from_bytes(os.urandom(10), "big")
    letters = "".join([_PAIRS[(drawn >> shift) & 1023] for shift in range(70, -1, -10)])
    return f"{PREFIX}{_second(now_ms >> 10)}{_PAIRS[now_ms & 1023]}{letters}"


@lru_cache(maxsize=4)
def _second(instant: int) -> str:
    """The letters that stay the same for 1,024 ms."""
    return "".join(_PAIRS[(instant >> shift) & 1023] for shift in range(30, -1, -10))


def instant_of(run_id: str) -> int:
    """When a run began, in milliseconds since the epoch, as its name says it."""
    instant = 0
    for letter in run_id.removeprefix(PREFIX)[:10]:
        instant = instant << 5 | ALPHABET.index(letter)
    return instant


def is_run_id(text: str) -> bool:
    """Whether `text` could be one; bounds what is looked up."""
    body = text.removeprefix(PREFIX)
    return (
        text.startswith(PREFIX)
        and len(body) == LENGTH
        and all(letter in ALPHABET for letter in body)
    )

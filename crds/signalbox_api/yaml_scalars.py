"""What a plain YAML scalar means, in the readings on which Kubernetes and this loader agree.

Kubernetes reads YAML 1.1 (`NO` is false, `0123` is octal). Such spellings are refused with the fix
instead of being guessed. Used by `yaml_reader` only.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, Self

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_READ_AS_BOOLEAN: Final = frozenset({"y", "yes", "on", "n", "no", "off"})
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)", flags=re.ASCII)
_ODD_INTEGER: Final = re.compile(
    r"[-+]?(0[0-9_]+|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[1-9][0-9_]*_[0-9_]*)", flags=re.ASCII
)
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    flags=re.ASCII,
)
_SAFE_DIGITS: Final = 18
"""Integers with so many digits fit 64 bits; longer ones become floats in Kubernetes."""

Scalar = str | int | float | bool | None


class WrittenFloat(float):
    """A float that remembers how it was written, so that a message can quote it."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Reads `text`; what is no number to Python, such as .inf, becomes not-a-number."""
        try:
            number = super().__new__(cls, text)
        except ValueError:
            number = super().__new__(cls, math.nan)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A spelling that means different things to different readers, with what to write instead."""

    message: str
    fix: str


def meaning(text: str) -> Scalar | Ambiguous:
    """The value of a plain scalar as Kubernetes reads it, or why nobody should rely on it."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text.lower() in _READ_AS_BOOLEAN:
        return Ambiguous(
            f"{text} without quotes is read as true or false by Kubernetes",
            f'write "{text}", or true or false',
        )
    if len(text) <= _SAFE_DIGITS and _INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= _SAFE_DIGITS and _ODD_INTEGER.fullmatch(text):
        return Ambiguous(
            f"{text} without quotes is read as another number by Kubernetes",
            f'write "{text}" for text, or a plain decimal number',
        )
    if _FLOAT.fullmatch(text):
        return WrittenFloat(text)
    return text

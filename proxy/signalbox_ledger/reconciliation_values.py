"""Single values of a provider's export, read exactly: amounts, counts, instants, names.

Pure. Everything that comes in was written by somebody else; each function raises ValueError with a
sentence that says what is wrong and what would be right. Amounts become integer pico-USD, rounded
up where a provider writes more digits; nothing is ever a float.
"""

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from signalbox_ledger.money import MAX_AMOUNT, ceil_div

PICO_PER_USD: Final = 10**12
PICO_PER_NANO: Final = 1_000
PICO_PER_CENT: Final = PICO_PER_USD // 100

MAX_NAME: Final = 256
MAX_REQUEST_ID: Final = 128
"""The ledger keeps so many characters of a provider's request id."""

_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,20}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?)")
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}(?:\.0{1,10})?")
_SECONDS: Final = re.compile(r"[0-9]{9,11}")
_DATE_SUFFIX: Final = re.compile(r"-(?:20[0-9]{2}-?[01][0-9]-?[0-3][0-9]|latest)$")


def pico_usd(text: str, unit: int = PICO_PER_USD) -> int:
    """A decimal string in units of `unit` pico-USD (a dollar, a cent), rounded up to pico-USD."""
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a decimal number; write one such as 0.0125")
    if match[2].isdigit():
        whole = int(match[2]) * unit
    else:
        pico = Fraction(match[2]) * unit
        whole = ceil_div(pico.numerator, pico.denominator)
    if match[1] and whole:
        raise ValueError(f"{text[:40]} is negative; credits are not reconciled, take them out")
    if whole > MAX_AMOUNT * PICO_PER_NANO:
        raise ValueError(f"{text[:40]} is more than any provider bills")
    return whole


def nano_usd(pico: int) -> int:
    """Pico-USD as nano-USD, rounded up: what a ledger that never rounds down charges."""
    return ceil_div(pico, PICO_PER_NANO)


def whole_number(text: str) -> int:
    """A count; some exports write whole numbers as `3.0`."""
    if _WHOLE.fullmatch(text.strip()) is None:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    number = int(text.strip().partition(".")[0])
    if not 0 <= number <= MAX_AMOUNT:
        raise ValueError(f"{text[:40]} is out of range")
    return number


def dollars_only(currency: str) -> None:
    """The ledger knows one currency."""
    if currency.strip().lower() != "usd":
        raise ValueError(
            f"{currency[:20]!r} is another currency; the ledger is in USD and converts nothing"
        )


def instant_ms(text: str) -> int:
    """RFC 3339, a date, or seconds since the epoch, as milliseconds since the epoch.

    A date is its beginning, and what names no zone is UTC, as providers' exports are.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is no instant; write one such as 2026-11-01T00:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND
    if milliseconds < 0:
        raise ValueError(f"{text[:40]} is before 1970")
    return milliseconds


def name(text: str, longest: int = MAX_NAME) -> str:
    """A name that can be shown: printable, and not endless."""
    text = text.strip()
    if len(text) > longest:
        raise ValueError(f"has {len(text)} characters, {longest} at most")
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


def request_id(text: str) -> str:
    """A provider's name of a request."""
    found = name(text, MAX_REQUEST_ID)
    if not found:
        raise ValueError("is empty; every line needs the provider's request id")
    return found


def model_key(model: str) -> str:
    """What a model is compared by: providers write it with a date, or as its marketing name.

    `gpt-5-2026-01-31`, `GPT 5` and `gpt-5` are one; `Claude Haiku 4.5` is `claude-haiku-4-5`.
    """
    plain = model.strip().lower().replace(" ", "-").replace(".", "-").rpartition("/")[2]
    return _DATE_SUFFIX.sub("", plain)


_MILLISECOND: Final = datetime.resolution * 1000

"""From decimal text to integers: the only place where written amounts become numbers.

Every decimal in a spec is text with a bounded number of digits, so each conversion here is exact.
"""

from typing import Final

NANO: Final = 1_000_000_000
MILLION: Final = 1_000_000

_DAYS: Final = {"d": 1, "w": 7, "y": 365}


def nano_usd(amount: str) -> int:
    """USD as written (at most nine decimals) in nano-USD. Also for prices: nano-USD per million."""
    return _scaled(amount, 9)


def millionths(fraction: str) -> int:
    """A share or factor as written (at most six decimals) in millionths: "0.88" is 880000."""
    return _scaled(fraction, 6)


def retention_days(duration: str) -> int:
    """A retention such as `7y`, `26w` or `90d` in days; a year counts 365 days."""
    return int(duration[:-1]) * _DAYS[duration[-1]]


def usd_text(nano: int) -> str:
    """nano-USD as the shortest exact decimal text with at least two decimals."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO)
    return f"{sign}{whole}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def _scaled(text: str, decimals: int) -> int:
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    known = text.isascii() and digits.isdecimal() and (fraction or not point)
    if not known or len(fraction) > decimals:
        raise ValueError(f"{text!r} is not a decimal with at most {decimals} decimals")
    return int(whole + fraction.ljust(decimals, "0"))

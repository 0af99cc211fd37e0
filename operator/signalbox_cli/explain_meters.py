"""What a candidate is billed by: tokens, or units of its own; as people read it, and as JSON."""

from typing import Any, Final

from signalbox_ledger.meters import MEASURES
from signalbox_ledger.money import format_usd
from signalbox_ledger.records import Meter
from signalbox_proxy.quotes import Quote
from signalbox_proxy.unit_pricing import UnitLine

_WORDS: Final[dict[Meter, tuple[str, str]]] = {
    "images": ("image", "images"),
    "searches": ("search", "searches"),
    "audio_seconds": ("second of audio", "seconds of audio"),
    "characters": ("character", "characters"),
}


def counted(quote: Quote) -> str:
    """The most that is counted, in the words of its meters; "nothing" where nobody bills it."""
    if quote.is_free:
        return "nothing"
    line = quote.units
    if line is not None:
        return f"{line.quantity:,} {_WORDS[line.meter][line.quantity != 1]}"
    kind = "tokens in" if quote.heard is None else "tokens of audio in"
    out = f", {quote.bound.output:,} out" if quote.bound.output else ""
    return f"{quote.bound.input:,} {kind}{out}"


def units_document(quote: Quote) -> dict[str, Any] | None:
    """What is billed by units, None where tokens are. Charged are as many where `isExact`, else
    what the answer tells."""
    line = quote.units
    return None if line is None else {"isExact": line.is_exact} | _line(line)


def audio_document(quote: Quote) -> dict[str, Any] | None:
    """The input as audio, None where there is none or it costs what text does."""
    return None if quote.heard is None else _line(quote.heard)


def _line(line: UnitLine) -> dict[str, Any]:
    return {
        "meter": line.meter,
        "quantity": line.quantity,
        "priceUnit": MEASURES[line.meter].unit,
        "usdPerPriceUnit": format_usd(line.price),
    }

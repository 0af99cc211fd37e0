"""Files of public prices, read exactly: no number passes through binary floating point.

Two formats are understood: LiteLLM's `model_prices_and_context_window.json` (`price_litellm`) and
the `data.json` of genai-prices (`price_genai`).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from signalbox_cli.price_data import PublicPrice, UnbelievableError
from signalbox_cli.price_genai import genai_prices
from signalbox_cli.price_litellm import litellm_prices

MAX_FILE: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What one file says. `label` names it with a digest of its bytes, `date` is its day."""

    label: str
    date: str
    prices: tuple[PublicPrice, ...]

    def find(self, provider: str, model: str) -> PublicPrice | None:
        """The price of a model, under the name that its provider gives it."""
        known = [each for each in self.prices if provider in names_of(each.provider)]
        exact = (each for each in known if each.name == model)
        return next(exact, None) or next((each for each in known if each.matches(model)), None)


def names_of(provider: str) -> frozenset[str]:
    """What a lane may call a provider of the data."""
    for prefix, names in _NAMES.items():
        if provider.startswith(prefix):
            return names
    return frozenset({provider})


_NAMES: Final = {
    "bedrock": frozenset({"bedrock", "aws"}),
    "aws": frozenset({"bedrock", "aws"}),
    "vertex": frozenset({"vertex", "google"}),
    "gemini": frozenset({"gemini", "google"}),
    "google": frozenset({"google", "gemini", "vertex"}),
    "azure": frozenset({"azure"}),
}


def read_file(path: Path, day: date | None) -> PriceFile:
    """Read a file of either format. Prices that begin later than `day` are not taken.

    Raises `UnbelievableError`.
    """
    if path.stat().st_size > MAX_FILE:
        raise UnbelievableError(f"{path.name}: larger than {MAX_FILE >> 20} MiB")
    raw = path.read_bytes()
    modified = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()
    on = day or modified
    try:
        document: Any = json.loads(raw, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise UnbelievableError(f"{path.name}: not JSON: {str(error)[:100]}") from None
    if isinstance(document, dict) and isinstance(document.get("providers"), list):
        document = document["providers"]
    prices: Iterable[PublicPrice]
    if isinstance(document, list):
        prices = genai_prices(path.name, document, on)
    elif isinstance(document, dict):
        prices = litellm_prices(path.name, document)
    else:
        raise UnbelievableError(f"{path.name}: neither of the formats that are understood")
    digest = hashlib.sha256(raw).hexdigest()
    return PriceFile(f"{path.name} sha256:{digest[:16]}", on.isoformat(), tuple(prices))


def _no_number(text: str) -> Decimal:
    raise ValueError(f"{text} is no number")

"""LiteLLM's price data: one object, models by name, USD per single token."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from signalbox_cli import price_images
from signalbox_cli.price_data import PublicPrice, Rates, UnbelievableError, number, whole

_MILLION: Final = 1_000_000
_FIELDS: Final = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cachedInput",
    "cache_creation_input_token_cost": "cacheWrite.5m",
    "cache_creation_input_token_cost_above_1hr": "cacheWrite.1h",
    "output_cost_per_token": "output",
}
_TIERS: Final = {"flex": "flex", "priority": "priority", "batches": "batch"}
_ABOVE: Final = re.compile(r"_above_(\d{1,5})k_tokens$", re.ASCII)
_SAMPLE: Final = "sample_spec"
_CAPABILITIES: Final = {
    "supports_function_calling": "tools",
    "supports_vision": "images",
    "supports_response_schema": "structuredOutput",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "promptCaching",
}
_MODES: Final = {
    "chat": "chat",
    "responses": "chat",
    "embedding": "embeddings",
    "rerank": "rerank",
    "audio_speech": "speech",
    "audio_transcription": "transcription",
    price_images.MODE: "imageGeneration",
}
_UNITS: Final[Mapping[str, Mapping[str, tuple[str, int]]]] = {
    "rerank": {"input_cost_per_query": ("perThousandSearches", 1000)},
    "audio_speech": {"input_cost_per_character": ("perMillionCharacters", _MILLION)},
    "audio_transcription": {
        "input_cost_per_second": ("perMinute", 60),
        "input_cost_per_audio_token": ("audioInput", _MILLION),
    },
    price_images.MODE: {"output_cost_per_image_token": ("output", _MILLION)},
}
"""Prices by other units, by mode. A second of sound costs once, though both ways are listed. What
draws, puts out images; the price of text that it puts out besides is told as unused."""


def litellm_prices(file: str, document: Mapping[str, Any]) -> Iterator[PublicPrice]:
    """All models that are priced by the token, or by another unit that a Model has a price for.
    Raises `UnbelievableError`."""
    if not any(isinstance(each, dict) and "litellm_provider" in each for each in document.values()):
        raise UnbelievableError(f"{file}: neither of the formats that are understood")
    for key, entry in document.items():
        if key == _SAMPLE or not isinstance(entry, dict) or "litellm_provider" not in entry:
            continue
        if entry.get("input_cost_per_token") is not None or _units(f"{file}: {key}", entry):
            yield _price(f"{file}: {key}", key, entry)
    yield from price_images.image_prices(file, document)


def _price(where: str, key: str, entry: Mapping[str, Any]) -> PublicPrice:
    provider = str(entry["litellm_provider"])
    above = sorted({int(match[1]) for field in entry if (match := _ABOVE.search(field))})
    suffix = f"_above_{above[0]}k_tokens" if above else ""
    used = set(_FIELDS)
    by_unit = _units(where, entry)
    rates = _rates(where, entry, "")
    if by_unit and not any(rates.values()):
        rates = {}
    rates |= by_unit
    if by_unit:
        used |= {*_UNITS[entry["mode"]], "output_cost_per_second"}
    if "output" in by_unit:
        used.discard("output_cost_per_token")
    tiers: dict[str, Rates] = {}
    tiers_long: dict[str, Rates] = {}
    for ending, tier in _TIERS.items():
        if found := _rates(where, entry, f"_{ending}"):
            tiers[tier] = found
            used |= {f"{field}_{ending}" for field in _FIELDS}
        if suffix and tier in tiers and (found := _rates(where, entry, f"{suffix}_{ending}")):
            tiers_long[tier] = found
            used |= {f"{field}{suffix}_{ending}" for field in _FIELDS}
    long_rates = None
    if suffix:
        long_rates = _rates(where, entry, suffix)
        used |= {f"{field}{suffix}" for field in _FIELDS}
    name = key.rpartition("/")[2] if key.startswith(f"{provider}/") else key
    mode = _MODES.get(str(entry.get("mode")))
    able = [name for field, name in _CAPABILITIES.items() if entry.get(field) is True]
    return PublicPrice(
        provider=provider,
        name=name,
        rates=rates,
        matches=lambda model: model == key,
        long_above=above[0] * 1000 if above else 0,
        long_rates=long_rates or None,
        tiers=tiers,
        tiers_long=tiers_long,
        context_tokens=whole(entry.get("max_input_tokens")) or whole(entry.get("max_tokens")),
        max_output_tokens=whole(entry.get("max_output_tokens")),
        capabilities=(mode, *able) if mode == "chat" else (mode,) if mode else (),
        unused=tuple(sorted(_billed(entry) - used)),
        source=str(entry.get("source") or ""),
    )


def _rates(where: str, entry: Mapping[str, Any], suffix: str) -> dict[str, Decimal]:
    rates: dict[str, Decimal] = {}
    for field, meter in _FIELDS.items():
        value = entry.get(f"{field}{suffix}")
        if value is not None:
            rates[meter] = number(f"{where}: {field}{suffix}", value) * _MILLION
    return rates


def _units(where: str, entry: Mapping[str, Any]) -> dict[str, Decimal]:
    """Prices by units other than tokens of text."""
    return {
        meter: number(f"{where}: {field}", entry[field]) * factor
        for field, (meter, factor) in _UNITS.get(str(entry.get("mode")), {}).items()
        if entry.get(field)
    }


def _billed(entry: Mapping[str, Any]) -> set[str]:
    """Fields that state a price other than nothing."""
    return {
        field
        for field, value in entry.items()
        if "cost" in field and value is not None and value != 0
    }

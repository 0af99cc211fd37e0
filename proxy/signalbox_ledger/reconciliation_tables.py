"""Rows of exports: CSV files of consoles, and requests one by one as CSV or JSON lines.

Pure. Formats, each told by the columns of its header:

- Anthropic Console, Usage > Export: `usage_date_utc`, `model_version`, `usage_input_tokens_…`
- Anthropic Console, Cost > Export: `usage_date_utc`, `model`, `token_type`, `cost_usd`
- OpenAI dashboard, Usage > Export, costs: `start_time`, `amount_value`, `amount_currency`,
  `line_item`; activity: `start_time`, `num_model_requests`, `input_tokens`, …
- requests one by one: a request id, and an amount in one of `_AMOUNTS`; gateways, invocation logs
  and invoices with request ids are brought into this form
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from signalbox_ledger import reconciliation_values as values
from signalbox_ledger.reconciliation_export import BilledRequest, BilledSum

_IDS: Final = ("provider_request_id", "request_id", "requestId")
_AMOUNTS: Final = {
    "amount_pico_usd": 1,
    "amount_nano_usd": values.PICO_PER_NANO,
    "amount_usd": values.PICO_PER_USD,
    "cost_usd": values.PICO_PER_USD,
    "amount": values.PICO_PER_USD,
}
_TIMES: Final = ("time", "timestamp", "created_at")
_MODELS: Final = ("model", "modelId")

Row = Mapping[str, Any]
Value = TypeVar("Value")
Place = tuple[str, int]


class FieldError(ValueError):
    """A field that cannot be believed."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field
        self.what = what


@dataclass(frozen=True, slots=True)
class Table:
    """How rows of one format are read. None: a row that bills nothing."""

    format: str
    provider: str
    read: Callable[[Row, Place], BilledRequest | BilledSum | None]


def table_for(header: Sequence[str]) -> Table:
    """The format of a CSV file. Raises ValueError for one that is not known."""
    columns = set(header)
    if len(columns) != len(header):
        twice = next(name for name in header if list(header).count(name) > 1)
        raise ValueError(f"the header names the column {twice[:40]!r} twice")
    for needed, table in _TABLES:
        if needed <= columns:
            return table
    if columns & set(_IDS):
        if not columns & set(_AMOUNTS):
            raise ValueError(f"the header names no amount; one of {', '.join(_AMOUNTS)} is needed")
        return REQUEST_ROWS
    raise ValueError(
        "the header is of no export that is known; a table of requests needs the columns"
        f" {_IDS[0]} and amount_usd"
    )


def _request(row: Row, place: Place) -> BilledRequest:
    id_name = next((each for each in _IDS if row.get(each) is not None), None)
    if id_name is None:
        raise FieldError(_IDS[0], "is missing; a billed request needs the provider's request id")
    amount_name = next((each for each in _AMOUNTS if row.get(each) not in (None, "")), None)
    if amount_name is None:
        raise FieldError("amount_usd", "is missing; what did the provider bill?")
    currency = row.get("currency")
    if currency not in (None, ""):
        _field(row, "currency", values.dollars_only)
    elif amount_name == "amount":
        raise FieldError("currency", "is missing beside amount; write usd")
    time_name = next((each for each in _TIMES if row.get(each) not in (None, "")), None)
    model_name = next((each for each in _MODELS if row.get(each) not in (None, "")), None)
    unit = _AMOUNTS[amount_name]
    return BilledRequest(
        request_id=_field(row, id_name, values.request_id),
        pico=_field(row, amount_name, lambda text: values.pico_usd(text, unit)),
        source=place[0],
        line=place[1],
        at=_field(row, time_name, values.instant_ms) if time_name else 0,
        model=_field(row, model_name, values.name) if model_name else "",
        tokens=_tokens(row),
    )


def _tokens(row: Row) -> int | None:
    """All billed tokens: the column `total_tokens`, or the meters of an object `usage`."""
    if row.get("total_tokens") not in (None, ""):
        return _field(row, "total_tokens", values.whole_number)
    usage = row.get("usage")
    if not isinstance(usage, dict):
        return None
    meters = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output")
    given = [meter for meter in meters if meter in usage]
    return sum(_field(usage, meter, values.whole_number) for meter in given) if given else None


def _anthropic_usage(row: Row, place: Place) -> BilledSum:
    del place
    start = _field(row, "usage_date_utc", values.instant_ms)
    fresh = (
        *("usage_input_tokens_no_cache", "usage_input_tokens_cache_write_5m"),
        "usage_input_tokens_cache_write_1h",
    )
    return BilledSum(
        start=start,
        end=start + 1,
        model=_field(row, "model_version", values.name),
        key=_optional(row, "api_key"),
        input=sum(_count(row, column) for column in fresh),
        cached=_count(row, "usage_input_tokens_cache_read"),
        output=_count(row, "usage_output_tokens"),
    )


def _anthropic_cost(row: Row, place: Place) -> BilledSum:
    del place
    start = _field(row, "usage_date_utc", values.instant_ms)
    return BilledSum(
        start=start,
        end=start + 1,
        model=_field(row, "model", values.name),
        key=_optional(row, "api_key_id") or _optional(row, "api_key"),
        pico=_field(row, "cost_usd", values.pico_usd),
    )


def _openai_cost(row: Row, place: Place) -> BilledSum | None:
    del place
    if not str(row["amount_value"]).strip():
        return None
    _field(row, "amount_currency", values.dollars_only)
    return BilledSum(
        start=_field(row, "start_time", values.instant_ms),
        end=_field(row, "end_time", values.instant_ms),
        model=_optional(row, "line_item").partition(",")[0].strip(),
        key=_optional(row, "api_key_id"),
        pico=_field(row, "amount_value", values.pico_usd),
    )


def _openai_usage(row: Row, place: Place) -> BilledSum | None:
    del place
    if not str(row["input_tokens"]).strip():
        return None
    cached = _count(row, "input_cached_tokens")
    return BilledSum(
        start=_field(row, "start_time", values.instant_ms),
        end=_field(row, "end_time", values.instant_ms),
        model=_optional(row, "model"),
        key=_optional(row, "api_key_id"),
        requests=_count(row, "num_model_requests"),
        input=max(0, _count(row, "input_tokens") - cached),
        cached=cached,
        output=_count(row, "output_tokens"),
    )


def _count(row: Row, column: str) -> int:
    text = row.get(column)
    return 0 if text in (None, "") else _field(row, column, values.whole_number)


def _optional(row: Row, column: str) -> str:
    return "" if row.get(column) in (None, "") else _field(row, column, values.name)


def _field(row: Row, column: str, reader: Callable[[str], Value]) -> Value:
    value = row.get(column)
    if value is None or isinstance(value, (bool, dict, list)):
        raise FieldError(column, "is missing" if value is None else "is not a number or a text")
    try:
        return reader(str(value))
    except ValueError as error:
        raise FieldError(column, str(error)) from None


REQUEST_ROWS: Final = Table("a table of requests", "", _request)
REQUEST_OBJECTS: Final = Table("requests, one JSON object a line", "", _request)
_TABLES: Final = (
    (
        {"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"},
        Table("Anthropic Console usage", "anthropic", _anthropic_usage),
    ),
    (
        {"usage_date_utc", "model", "token_type", "cost_usd"},
        Table("Anthropic Console cost", "anthropic", _anthropic_cost),
    ),
    (
        {"start_time", "end_time", "amount_value", "amount_currency"},
        Table("OpenAI dashboard costs", "openai", _openai_cost),
    ),
    (
        {"start_time", "end_time", "num_model_requests", "input_tokens", "output_tokens"},
        Table("OpenAI dashboard usage", "openai", _openai_usage),
    ),
)

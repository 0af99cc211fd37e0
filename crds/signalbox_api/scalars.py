"""Bounded scalar types from which every spec is built.

Each type carries its own schema (pattern, length, range), so that pydantic here and the API server
there refuse the same values. Patterns stay in the syntax that RE2 and Rust's regex share.
"""

import re
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Final, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from signalbox_api import jurisdictions

MAX_USD: Final = 999_999_999
"""Largest whole amount: in nano-USD it still fits a signed 64-bit integer."""

MAX_TOKENS: Final = 1_000_000_000_000_000
"""Largest token or request limit of a budget."""

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = "[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?"
LABEL_PATTERN: Final = f"^{_LABEL}$"
REF_PATTERN: Final = f"^({_LABEL}/)?{_SUBDOMAIN}$"
WORD_PATTERN: Final = "^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$"
MODEL_PATTERN: Final = "^[A-Za-z0-9][-._:/@+A-Za-z0-9]{0,127}$"
TOOL_PATTERN: Final = "^[A-Za-z0-9_][-._:/A-Za-z0-9]{0,127}$"
ENDPOINT_PATTERN: Final = r"^https?://[A-Za-z0-9]([-.A-Za-z0-9]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?(/[-._~%A-Za-z0-9/]{0,511})?$"
TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$"
USD_PATTERN: Final = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$"
PRICE_PATTERN: Final = r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,9})?$"
FACTOR_PATTERN: Final = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$"
SHARE_PATTERN: Final = r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"
RETENTION_PATTERN: Final = "^[1-9][0-9]{0,3}[dwy]$"
AWS_ROLE_PATTERN: Final = "^arn:aws[-a-z]{0,20}:iam::[0-9]{12}:role/[-+=,.@_/A-Za-z0-9]{1,512}$"
SERVICE_ACCOUNT_PATTERN: Final = "^[-a-z0-9]{1,63}@[-.a-z0-9]{1,150}[.]gserviceaccount[.]com$"
GRANT_SCOPE_PATTERN: Final = "^(https|api)://[-._/A-Za-z0-9]{1,240}$"
SHA256_PATTERN: Final = "^[0-9a-f]{64}$"
LOOKUP_PATTERN: Final = "^[0-9a-f]{16}$"
TIME_ZONE_PATTERN: Final = "^[A-Za-z][-+_/A-Za-z0-9]{0,63}$"
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", flags=re.ASCII
)


def _decimal_text(value: object) -> object:
    """Whole numbers may be written without quotes; they become text so that one type remains."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("needs a time zone, such as 2027-05-01T00:00:00Z")
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("is not an RFC 3339 instant; write it like 2027-05-01T00:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "is no date of the calendar; write one like 2027-05-01T00:00:00Z"
        ) from None


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes instants."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _time_zones() -> frozenset[str]:
    """Reading the directory of zones takes tens of milliseconds, so it is done once."""
    return frozenset(available_timezones())


def _time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError(
            f"{value!r} is not an IANA time zone; write one such as UTC or Europe/Berlin"
        )
    return value


_Item = TypeVar("_Item", bound=Hashable)


def _without_duplicates(items: Sequence[_Item]) -> Sequence[_Item]:
    seen: set[_Item] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"names {str(item)!r} twice; remove one")
        seen.add(item)
    return items


def _decimal_schema(pattern: str, maximum: int, length: int) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": pattern,
            "maxLength": length,
            "minimum": 0,
            "maximum": maximum,
        }
    )


UNIQUE: Final = AfterValidator(_without_duplicates)
"""Marks a list as a set: no item twice."""

Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, min_length=1, max_length=63)]
Ref = Annotated[str, StringConstraints(pattern=REF_PATTERN, min_length=1, max_length=127)]
Word = Annotated[str, StringConstraints(pattern=WORD_PATTERN, min_length=1, max_length=63)]
ModelName = Annotated[str, StringConstraints(pattern=MODEL_PATTERN, min_length=1, max_length=128)]
ToolName = Annotated[str, StringConstraints(pattern=TOOL_PATTERN, min_length=1, max_length=128)]
CredentialName = Annotated[
    str, StringConstraints(pattern=WORD_PATTERN, min_length=1, max_length=63)
]
AwsRole = Annotated[str, StringConstraints(pattern=AWS_ROLE_PATTERN, max_length=600)]
ServiceAccount = Annotated[str, StringConstraints(pattern=SERVICE_ACCOUNT_PATTERN, max_length=240)]
GrantScope = Annotated[str, StringConstraints(pattern=GRANT_SCOPE_PATTERN, max_length=256)]
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=128)]
Endpoint = Annotated[str, StringConstraints(pattern=ENDPOINT_PATTERN, max_length=512)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256_PATTERN, min_length=64, max_length=64)]
Lookup = Annotated[str, StringConstraints(pattern=LOOKUP_PATTERN, min_length=16, max_length=16)]
Retention = Annotated[str, StringConstraints(pattern=RETENTION_PATTERN, max_length=5)]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=TIME_ZONE_PATTERN, max_length=64),
    AfterValidator(_time_zone),
]
Country = Annotated[
    str,
    AfterValidator(jurisdictions.country),
    WithJsonSchema({"type": "string", "enum": sorted(jurisdictions.COUNTRIES)}),
]
Jurisdiction = Annotated[
    str,
    AfterValidator(jurisdictions.country_or_group),
    WithJsonSchema({"type": "string", "enum": sorted(jurisdictions.KNOWN)}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40}),
]
Usd = Annotated[
    str,
    StringConstraints(pattern=USD_PATTERN, max_length=19),
    BeforeValidator(_decimal_text),
    _decimal_schema(USD_PATTERN, MAX_USD, 19),
]
Price = Annotated[
    str,
    StringConstraints(pattern=PRICE_PATTERN, max_length=16),
    BeforeValidator(_decimal_text),
    _decimal_schema(PRICE_PATTERN, 999_999, 16),
]
Factor = Annotated[
    str,
    StringConstraints(pattern=FACTOR_PATTERN, max_length=10),
    BeforeValidator(_decimal_text),
    _decimal_schema(FACTOR_PATTERN, 999, 10),
]
Share = Annotated[
    str,
    StringConstraints(pattern=SHARE_PATTERN, max_length=8),
    BeforeValidator(_decimal_text),
    _decimal_schema(SHARE_PATTERN, 1, 8),
]
Tokens = Annotated[int, Strict(), Field(ge=0, le=100_000_000)]
SomeTokens = Annotated[int, Strict(), Field(ge=1, le=100_000_000)]
Quantity = Annotated[int, Strict(), Field(ge=0, le=MAX_TOKENS)]
Milliseconds = Annotated[int, Strict(), Field(ge=1, le=600_000)]
Switch = Annotated[bool, Strict()]

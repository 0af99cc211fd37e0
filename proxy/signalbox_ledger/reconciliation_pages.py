"""Pages of the providers' usage and cost APIs, saved as JSON.

Pure. The shapes are those of the references, fields that no comparison needs left out:

- OpenAI `GET /v1/organization/usage/completions` and `/v1/organization/costs`: buckets with
  `start_time` and `end_time` in seconds, `results` told apart by `object`; `amount.value` is a
  JSON number, read digit by digit
- Anthropic `GET /v1/organizations/usage_report/messages` and `/v1/organizations/cost_report`:
  buckets with `starting_at` and `ending_at`; `amount` is a decimal string in cents
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from signalbox_ledger import reconciliation_values as values
from signalbox_ledger.reconciliation_export import BilledSum, Export, ExportError

_PLACE: Final = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)


class _Amount(msgspec.Struct):
    value: Decimal
    currency: str


class _OpenAICost(msgspec.Struct, tag_field="object", tag="organization.costs.result"):
    amount: _Amount | None = None
    line_item: str | None = None
    api_key_id: str | None = None


class _OpenAIUsage(msgspec.Struct, tag_field="object", tag="organization.usage.completions.result"):
    input_tokens: int
    output_tokens: int
    num_model_requests: int
    input_cached_tokens: int | None = None
    model: str | None = None
    api_key_id: str | None = None


class _OpenAIEmbeddings(
    msgspec.Struct, tag_field="object", tag="organization.usage.embeddings.result"
):
    input_tokens: int
    num_model_requests: int
    model: str | None = None
    api_key_id: str | None = None


class _OpenAIBucket(msgspec.Struct):
    start_time: int
    end_time: int
    results: list[_OpenAICost | _OpenAIUsage | _OpenAIEmbeddings]


class _OpenAIPage(msgspec.Struct):
    object: Literal["page"]
    data: list[_OpenAIBucket]
    has_more: bool = False
    next_page: str | None = None


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class _AnthropicResult(msgspec.Struct):
    amount: str | None = None
    currency: str | None = None
    uncached_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    cache_read_input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None
    api_key_id: str | None = None


class _AnthropicBucket(msgspec.Struct):
    starting_at: str
    ending_at: str
    results: list[_AnthropicResult]


class _AnthropicPage(msgspec.Struct):
    data: list[_AnthropicBucket]
    has_more: bool = False
    next_page: str | None = None


_Result = _OpenAICost | _OpenAIUsage | _OpenAIEmbeddings | _AnthropicResult


def is_page(document: Mapping[str, Any]) -> bool:
    """Whether an object is a page of an API rather than a billed request."""
    return isinstance(document.get("data"), list)


def is_incomplete(more: Sequence[bool]) -> bool:
    """Whether a page is missing: of all pages, given in any order, one is the last."""
    return bool(more) and all(more)


def read(source: str, text: str, digest: str) -> Export:
    """The pages of one file. Raises ExportError."""
    pages = _pages(source, text)
    kinds = {type(page) for page in pages}
    if len(kinds) != 1:
        raise ExportError(source, "", "", "has no pages, or pages of several providers")
    sums: list[BilledSum] = []
    formats: set[str] = set()
    for number, page in enumerate(pages):
        buckets: list[_OpenAIBucket | _AnthropicBucket] = [*page.data]
        for position, bucket in enumerate(buckets):
            results: list[_Result] = [*bucket.results]
            for place, result in enumerate(results):
                field = f"data[{position}].results[{place}]"
                where = f" page {number + 1}" if len(pages) > 1 else ""
                try:
                    found, kind = _sum(bucket, result)
                except ValueError as error:
                    raise ExportError(source, where, field, str(error)) from None
                formats.add(kind)
                sums += [] if found is None else [found]
    openai = kinds == {_OpenAIPage}
    if len(formats) > 1:
        raise ExportError(source, "", "", "mixes usage and costs; give each a file of its own")
    name = "OpenAI" if openai else "Anthropic"
    kind = formats.pop() if formats else "cost"
    return Export(
        format=f"{name} {kind} API",
        provider=name.lower(),
        names=[source],
        digest=digest,
        sums=sums,
        incomplete=is_incomplete([page.has_more for page in pages]),
    )


def _pages(source: str, text: str) -> list[_OpenAIPage | _AnthropicPage]:
    """One page, a list of pages, or a page a line."""
    kind: type[_OpenAIPage | _AnthropicPage] = _AnthropicPage
    if '"start_time"' in text or '"organization.' in text:
        kind = _OpenAIPage
    stripped = text.strip()
    try:
        if stripped.startswith("["):
            return list(msgspec.json.decode(stripped, type=list[kind]))  # type: ignore[valid-type]
        try:
            return [msgspec.json.decode(stripped, type=kind)]
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if "\n" not in stripped:
                raise
            return list(msgspec.json.Decoder(kind).decode_lines(stripped))
    except msgspec.DecodeError as error:
        match = _PLACE.fullmatch(str(error))
        field, what = (match[2].lstrip("."), match[1]) if match else ("", str(error))
        raise ExportError(source, "", field, what) from None


def _sum(bucket: _OpenAIBucket | _AnthropicBucket, result: _Result) -> tuple[BilledSum | None, str]:
    if isinstance(bucket, _OpenAIBucket):
        span = (bucket.start_time * 1000, bucket.end_time * 1000)
    else:
        span = (values.instant_ms(bucket.starting_at), values.instant_ms(bucket.ending_at))
    if not 0 <= span[0] < span[1]:
        raise ValueError("the bucket ends before it begins")
    match result:
        case _OpenAICost():
            return _openai_cost(span, result), "cost"
        case _AnthropicResult(amount=str()):
            return _anthropic_cost(span, result), "cost"
        case _AnthropicResult(uncached_input_tokens=None):
            raise ValueError("has neither amount nor uncached_input_tokens")
        case _:
            return _usage(span, result), "usage"


def _openai_cost(span: tuple[int, int], result: _OpenAICost) -> BilledSum | None:
    if result.amount is None:
        return None
    values.dollars_only(result.amount.currency)
    return BilledSum(
        start=span[0],
        end=span[1],
        model=values.name((result.line_item or "").partition(",")[0]),
        key=values.name(result.api_key_id or ""),
        pico=values.pico_usd(str(result.amount.value)),
    )


def _anthropic_cost(span: tuple[int, int], result: _AnthropicResult) -> BilledSum:
    values.dollars_only(result.currency or "")
    return BilledSum(
        start=span[0],
        end=span[1],
        model=values.name(result.model or ""),
        pico=values.pico_usd(result.amount or "", values.PICO_PER_CENT),
    )


def _usage(
    span: tuple[int, int], result: _OpenAIUsage | _OpenAIEmbeddings | _AnthropicResult
) -> BilledSum:
    requests: int | None = None
    output = 0
    if isinstance(result, _AnthropicResult):
        written = result.cache_creation or _CacheCreation()
        fresh = (result.uncached_input_tokens or 0) + written.ephemeral_5m_input_tokens
        fresh += written.ephemeral_1h_input_tokens
        cached, output = result.cache_read_input_tokens, result.output_tokens
    elif isinstance(result, _OpenAIUsage):
        cached, output = result.input_cached_tokens or 0, result.output_tokens
        fresh, requests = result.input_tokens - cached, result.num_model_requests
    else:
        cached, fresh, requests = 0, result.input_tokens, result.num_model_requests
    if min(fresh, cached, output, requests or 0) < 0:
        raise ValueError("counts fewer than no tokens")
    return BilledSum(
        start=span[0],
        end=span[1],
        model=values.name(result.model or ""),
        key=values.name(result.api_key_id or ""),
        requests=requests,
        input=fresh,
        cached=cached,
        output=output,
    )

"""What one attempt on one lane costs: at most, and as expected. Pure.

The bound is what is held before dispatch; the expectation only orders what is acceptable.
"""

from collections.abc import Sequence

import msgspec

from signalbox_proxy import tokenizer
from signalbox_proxy.bounds import expected_tokens, token_bound
from signalbox_proxy.cache_affinity import CacheHome, Warmth
from signalbox_proxy.model_request import ModelRequest, TokenBound, Units
from signalbox_proxy.pricing import expected_nano, worst_nano
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.unit_bounds import bound_by_tokens, dearest_audio, worst_by_tokens
from signalbox_proxy.unit_pricing import UnitLine, unit_line
from signalbox_proxy.wire_formats import CACHES_IF_ASKED, cache_write_on, is_free
from signalbox_snapshot.snapshot import PriceTable

_ASKED = ("5m", "1h")

SURE_PERCENT = 80
"""Share of a count that is taken as certain: projections err by less than a fifth."""

MIN_OUTPUT = 256
"""Output tokens under which a request is refused rather than lowered further."""


class Quote(msgspec.Struct, frozen=True):
    """The price of one attempt. Amounts are nano-USD.

    `output_limit` is what the provider will be told; None where the surface has no output.
    `grown_bytes` is by how much the text that is sent exceeds the client's: see `token_bound`.
    `is_free` says that nobody bills it: it counts as a request and costs nothing, and its expected
    cost only ranks the model that it asks about. `cached_tokens` of its input are expected to be
    read from the cache of its session, and priced so in `expected_nano` alone. `units` are set
    where the lane bills by units: then no tokens. `heard` is the input as audio, where that may be
    dearer.
    """

    lane: PreparedLane
    price: PriceTable
    output_limit: int | None
    bound: TokenBound
    worst_nano: int
    expected_nano: int
    is_free: bool = False
    grown_bytes: int = 0
    cached_tokens: int = 0
    units: UnitLine | None = None
    heard: UnitLine | None = None

    @property
    def bound_tokens(self) -> int:
        """Most tokens that may be billed, input and output."""
        return self.bound.input + self.bound.output

    def amount(self, unit: str) -> int:
        """The bound in a budget's unit."""
        if unit == "usd":
            return self.worst_nano
        if unit == "tokens":
            return self.bound_tokens
        return 1


class Quoter:
    """Quotes one request on any lane; counts its text once for each tokenizer."""

    __slots__ = ("_counts", "request")

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self._counts: dict[str, int] = {}

    def quote(
        self,
        lane: PreparedLane,
        price: PriceTable,
        default_output: int | None,
        *,
        grown_bytes: int = 0,
    ) -> Quote:
        """Quote an attempt with the client's output limit, or else the default.

        Raises `Refusal("no_bound")` for what has no bound on this model.
        """
        if is_free(self.request):
            return self._free(lane, price)
        if self.request.units is not None:
            return self._by_units(self.request.units, lane, price)
        limit = self.output_limit(lane, default_output)
        bound = token_bound(self.request, lane.model, limit or 0, grown_bytes=grown_bytes)
        return Quote(
            lane=lane,
            price=price,
            output_limit=limit,
            bound=bound,
            worst_nano=worst_nano(bound, price, cache_write_on(self.request, lane)),
            expected_nano=expected_nano(
                expected_tokens(self.request, lane.model, limit or 0, self._counted(lane)), price
            ),
            grown_bytes=grown_bytes,
        )

    def _free(self, lane: PreparedLane, price: PriceTable) -> Quote:
        return Quote(
            lane=lane,
            price=price,
            output_limit=None,
            bound=TokenBound(0, 0),
            worst_nano=0,
            expected_nano=expected_nano(TokenBound(self.expected_input(lane), 0), price),
            is_free=True,
        )

    def warmed(self, quotes: Sequence[Quote], warmth: Warmth) -> list[Quote]:
        """The same attempts by what their lanes keep of the session's prompt, if anything.

        Nothing is read where the provider is not asked to. Held is the same either way.
        """
        return [self._warmed(quote, warmth) for quote in quotes]

    def _warmed(self, quote: Quote, warmth: Warmth) -> Quote:
        kept = warmth.get(CacheHome.of(quote.lane))
        if not kept or quote.is_free:
            return quote
        wire = quote.lane.lane.wire_format
        if wire in CACHES_IF_ASKED and cache_write_on(self.request, quote.lane) not in _ASKED:
            return quote
        limit = quote.output_limit or 0
        expected = expected_tokens(self.request, quote.lane.model, limit, self._counted(quote.lane))
        cached = min(kept, expected.input)
        cost = expected_nano(expected, quote.price, cached)
        if cost >= quote.expected_nano:
            return quote
        return msgspec.structs.replace(quote, expected_nano=cost, cached_tokens=cached)

    def _by_units(self, units: Units, lane: PreparedLane, price: PriceTable) -> Quote:
        """By the lane's prices of units, or else by tokens: without a limit that could be lowered,
        since these surfaces know none."""
        line = unit_line(units, lane)
        if line is not None:
            bound, worst, expected = TokenBound(0, 0), line.worst_nano, line.worst_nano
        else:
            bound = bound_by_tokens(self.request, lane.model)
            worst = worst_by_tokens(self.request, bound, lane)
            expected = expected_nano(bound, price)
        return Quote(
            lane=lane,
            price=price,
            output_limit=None,
            bound=bound,
            worst_nano=worst,
            expected_nano=expected,
            units=line,
            heard=None if line is not None else dearest_audio(self.request, bound, lane),
        )

    def expected_input(self, lane: PreparedLane) -> int:
        """Input tokens as a lane's model will probably count them."""
        return expected_tokens(self.request, lane.model, 0, self._counted(lane)).input

    def output_limit(self, lane: PreparedLane, default_output: int | None) -> int | None:
        """Output tokens per choice: the client's own, or the policy's or model's default."""
        if self.request.surface in ("embeddings", "count_tokens") or self.request.units:
            return None
        if self.request.output_limit is not None:
            return self.request.output_limit
        limits = lane.model.limits
        return min(default_output or limits.default_output, limits.max_output)

    def lowered(self, quote: Quote, output_limit: int) -> Quote:
        """The same attempt with a lower output limit."""
        bound = token_bound(
            self.request, quote.lane.model, output_limit, grown_bytes=quote.grown_bytes
        )
        return msgspec.structs.replace(
            quote,
            output_limit=output_limit,
            bound=bound,
            worst_nano=worst_nano(bound, quote.price, cache_write_on(self.request, quote.lane)),
        )

    def largest_output(self, quote: Quote, unit: str, amount: int) -> int:
        """The largest output limit, at most the quote's, whose bound fits in `amount`; or 0."""
        if quote.output_limit is None:
            return 0
        low, high = 0, quote.output_limit
        while low < high:
            middle = (low + high + 1) // 2
            if self.lowered(quote, middle).amount(unit) <= amount:
                low = middle
            else:
                high = middle - 1
        return low

    def beyond_context(self, quote: Quote) -> str:
        """Why input and output cannot fit the model's context together, or "".

        Clear cases only, since the count of a long text is projected from a part of it: what is
        closer is left to the provider, whose refusal costs nothing. Not asked of embeddings,
        whose context bounds each input on its own.
        """
        if quote.output_limit is None:
            return ""
        kind = quote.lane.model.tokenizer
        counted = self._count("o200k" if kind == "estimate" else kind)
        if self.request.continues is not None:
            counted += self.request.continues.tokens
        counted = counted * SURE_PERCENT // 100
        context = quote.lane.model.limits.context
        if counted + quote.output_limit <= context:
            return ""
        return (
            f"holds {context} tokens, less than at least {counted} of input and "
            f"{quote.output_limit} of output"
        )

    def _counted(self, lane: PreparedLane) -> int:
        return self._count(lane.model.tokenizer)

    def _count(self, kind: tokenizer.Encoding) -> int:
        counted = self._counts.get(kind)
        if counted is None:
            counted = self._counts[kind] = tokenizer.count(kind, self.request.texts)
        return counted

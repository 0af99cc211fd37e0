"""Deliver: the answer goes to the client, is judged, and its attempt settled.

A whole answer is settled before its first byte leaves. A stream passes through as it comes; its
usage record settles it. A client that leaves, or reads too slowly, has been served: the stream
is then read on to its usage record, within bounds, so that it is charged what was billed.
"""

import asyncio
import logging
from collections.abc import Sequence

from aiohttp.web import Response, StreamResponse

from signalbox_ledger.money import format_usd
from signalbox_ledger.records import AttemptOutcome, Usage
from signalbox_proxy import prompt_caching
from signalbox_proxy.accounts import Account
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.calling import StreamedAnswer, WholeAnswer
from signalbox_proxy.evaluation import score, verdicts
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.logs import FIELDS
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.replies import answer_headers
from signalbox_proxy.routing import Decision
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.stored_answers import ResponseKeeper, keeper_for
from signalbox_proxy.streamed_types import EVENT_STREAM
from signalbox_proxy.surfaces import AnswerFacts, StreamReader
from signalbox_proxy.upstream import UpstreamAnswer, UpstreamError, UpstreamTimeout

_log = logging.getLogger("signalbox.proxy")

DRAIN_S = 60.0
"""Longest that a stream is read on for its usage record after its client left."""

DRAIN_BYTES = 16 * 1024 * 1024

COST_COMMENT = "x-signalbox-cost-comment"
"""Request header that asks for a stream's final cost as an SSE comment at its end."""


class Delivery:
    """Delivers the answer of one attempt to the client of one exchange."""

    def __init__(
        self,
        exchange: Exchange,
        run: RunDraft,
        decision: Decision,
        accounts: Sequence[Account],
        attempt: AttemptInFlight,
    ) -> None:
        self._exchange = exchange
        self._run = run
        self._request = decision.request
        self._accounts = accounts
        self._attempt = attempt
        self._keeper = keeper_for(exchange.services.ledger, run, self._request, attempt.lane)

    async def deliver(self, answer: WholeAnswer | StreamedAnswer) -> StreamResponse:
        """Deliver, evaluate, settle."""
        self._run.status = 200
        if isinstance(answer, WholeAnswer):
            response = self._deliver_whole(answer)
            if self._keeper is not None:
                await self._keeper.look(answer.facts)
            return response
        try:
            return await self._deliver_stream(answer)
        finally:
            answer.upstream.close()

    def _deliver_whole(self, answer: WholeAnswer) -> Response:
        self._settle(answer.facts)
        self._run.first_chunk_us = self._attempt.draft.first_chunk_us
        return Response(
            body=answer.body,
            headers=self._headers(streamed=False) | {"content-type": answer.facts.media_type},
        )

    async def _deliver_stream(self, answer: StreamedAnswer) -> StreamResponse:
        upstream, reader = answer.upstream, answer.reader
        response = StreamResponse(
            headers=self._headers(streamed=True)
            | {
                "content-type": answer.media_type,
                "cache-control": "no-cache",
                "x-accel-buffering": "no",
            }
        )
        if self._exchange.services.stopping:
            response.force_close()
        self._run.first_chunk_us = self._attempt.draft.first_chunk_us
        pump = _Pump(upstream, reader, response, self._exchange, self._keeper)
        cut: Refusal | None = None
        try:
            await pump.run(self._timeout_s())
        except UpstreamError as error:
            cut = _cut(error)
        except Refusal as refusal:
            cut = refusal
        except asyncio.CancelledError:
            if not self._exchange.services.stopping:
                raise
            cut = Refusal("provider_failed", "This proxy is stopping. Try again.")
        await self._finish(pump, reader, response, cut)
        return response

    async def _finish(
        self,
        pump: "_Pump",
        reader: StreamReader,
        response: StreamResponse,
        cut: Refusal | None,
    ) -> None:
        """Settle by what is known, and tell the client how it ended."""
        facts = reader.facts
        if cut is not None:
            self._run.refusal = cut.code
            self._run.refusal_detail = cut.message
        self._run.client_left = pump.client_left
        self._settle(facts)
        if pump.client_left:
            if self._keeper is not None:
                await self._keeper.look(facts)
            return
        if response.headers["content-type"] != EVENT_STREAM:
            if cut is not None:
                self._exchange.cut_off()  # its form has no place for an error
            return
        tail = b""
        if cut is not None:
            tail = self._exchange.surface.stream_error(cut, self._run.run_id)
        elif self._exchange.headers.get(COST_COMMENT, "").lower() == "true":
            tail = f": x-signalbox-cost-usd={format_usd(self._run.cost_nano)}\n\n".encode()
        if tail:
            await pump.write(tail)

    def _settle(self, facts: AnswerFacts) -> None:
        """Evaluate the answer and charge the attempt: by its usage record, or in full."""
        run = self._run
        run.verdicts = verdicts(self._request, facts)
        run.eval_score = score(run.verdicts)
        run.outcome = "answered" if facts.complete else "incomplete"
        ended: AttemptOutcome = "answered" if facts.ended else "cut"
        self._attempt.named(facts.answer_id)
        units = self._billed(facts)
        if units is not None:
            usage = facts.usage or Usage()
            self._attempt.answered(usage, ended, units=units, audio=facts.audio_tokens)
            self._note_cache(usage)
        else:
            if not facts.ended:
                run.outcome = "unknown"
            self._attempt.lost(ended, "the usage record did not come")
        if facts.error:
            self._attempt.draft.detail = facts.error[:200]
        if self._attempt.overran:
            self._overran()

    def _note_cache(self, usage: Usage) -> None:
        """The session's next request is cheaper where this one is kept."""
        services, quote = self._exchange.services, self._attempt.reservation.quote
        if self._run.facts is not None and self._request.surface in prompt_caching.SURFACES:
            now_s = services.ledger.now_ms() // 1000
            services.affinity.note(self._run.facts, quote.lane, quote.price, usage, now_s)

    def _billed(self, facts: AnswerFacts) -> int | None:
        """The units that are billed, 0 where the lane bills tokens; None where nobody tells."""
        line = self._attempt.reservation.quote.units
        if line is None:
            return None if facts.usage is None else 0
        if facts.units is not None:
            return facts.units
        return line.quantity if line.is_exact and facts.ended else None

    def _overran(self) -> None:
        """The bound did not hold: post it, and call this lane no more."""
        services, lane = self._exchange.services, self._attempt.reservation.quote.lane
        self._attempt.draft.detail = "the provider billed above the bound"
        services.quarantine.add(lane)
        services.metrics.overran()
        _log.error(
            "a provider billed above the bound; its lane is quarantined",
            extra={FIELDS: {"run_id": self._run.run_id, "lane": lane.id}},
        )

    def _headers(self, *, streamed: bool) -> dict[str, str]:
        return answer_headers(
            self._run,
            self._attempt,
            self._exchange.services.ledger,
            self._accounts,
            streamed=streamed,
        )

    def _timeout_s(self) -> float:
        return self._attempt.reservation.quote.lane.lane.request_timeout_ms / 1000


def _cut(error: UpstreamError) -> Refusal:
    """What a client is told of a stream that broke off."""
    if isinstance(error, UpstreamTimeout):
        return Refusal("provider_timeout", "The provider did not end its answer in time.")
    return Refusal("provider_failed", "The provider broke off its answer.")


class _Pump:
    """Moves a stream from provider to client, one chunk at a time: the slower sets the pace."""

    def __init__(
        self,
        upstream: UpstreamAnswer,
        reader: StreamReader,
        response: StreamResponse,
        exchange: Exchange,
        keeper: ResponseKeeper | None,
    ) -> None:
        self._keeper = keeper
        self._facts = reader.facts
        self._chunks = upstream.chunks()
        self._reader = reader
        self._response = response
        self._exchange = exchange
        self._writing = False
        self.client_left = False

    async def run(self, timeout_s: float) -> None:
        """Until the upstream ends; without the client once it has left or stalls.

        Raises an `UpstreamError` for a stream that was cut, `Refusal` for one that cannot be read.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._response.prepare(self._exchange.request)
                async for chunk in self._chunks:
                    data = self._reader.feed(chunk)
                    if self._keeper is not None:  # remembered before its end leaves
                        await self._keeper.look(self._facts)
                    await self.write(data)
                    if self.client_left:
                        break
                else:
                    data = self._reader.end()
                    if self._keeper is not None:
                        await self._keeper.look(self._facts)
                    await self.write(data)
                    return
        except TimeoutError:
            if not self._writing:
                raise UpstreamTimeout("the stream did not end in time") from None
            self.client_left = True
            self._exchange.cut_off()
        except ConnectionError:
            self.client_left = True
        await self._read_on()

    async def write(self, data: bytes) -> None:
        """Send to the client, if it is there; waits while its buffer is full."""
        if not data or self.client_left:
            return
        self._writing = True
        try:
            await self._response.write(data)
        except ConnectionError:
            self.client_left = True
        self._writing = False

    async def _read_on(self) -> None:
        """Read to the usage record without a client, within bounds."""
        size = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                async for chunk in self._chunks:
                    self._reader.feed(chunk)
                    size += len(chunk)
                    if size > DRAIN_BYTES:
                        return
                self._reader.end()
        except (TimeoutError, UpstreamError):
            return

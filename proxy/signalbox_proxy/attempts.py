"""One attempt from its hold to its end: whatever happens, the hold is settled exactly once.

How an attempt ends decides what is charged: answered, by the usage record; refused by an error
status, nothing; lost after sending, the whole bound, flagged `unknown`; never sent, nothing.
"""

import time
from typing import Self

from msgspec.structs import replace

from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.records import AttemptOutcome, Charge, Settlement, Usage
from signalbox_proxy.model_request import TokenBound
from signalbox_proxy.pricing import charges, charges_in_full
from signalbox_proxy.reservation import Reservation
from signalbox_proxy.run_draft import AttemptDraft, RunDraft
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.unit_pricing import audio_line

MAX_DETAIL = 200
MAX_NAME = 128


class AttemptInFlight:
    """An attempt that holds money. Leaving the context ends it if nothing else did."""

    __slots__ = ("_clock", "_ended", "_ledger", "_run", "draft", "reservation", "sent")

    def __init__(self, ledger: ProxyLedger, run: RunDraft, reservation: Reservation) -> None:
        self._ledger = ledger
        self._run = run
        self._clock = time.monotonic()
        self._ended = False
        self.sent = False
        self.reservation = reservation
        self.draft = AttemptDraft(
            number=len(run.attempts) + 1,
            quote=reservation.quote,
            started_at=ledger.now_ms(),
            holds=reservation.parts(),
        )
        run.attempts.append(self.draft)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ended:
            return
        if self.sent:
            self.lost("cut", "the request ended before its answer")
        else:
            self.unsent("not sent")

    def dispatching(self) -> None:
        """Write down that it is about to be sent; raises when that cannot be done."""
        self._ledger.dispatching(self._run.run())
        self.sent = True

    def gives_way(self) -> None:
        """It failed, and the run goes on: write down what it cost. Until then a process that dies
        leaves it as one whose end is unknown."""
        if self.sent:
            self._ledger.attempt_ended(self._run.run())

    def first_chunk(self) -> None:
        """The first byte of the answer came."""
        self.draft.first_chunk_us = self._elapsed_us()

    def named(self, name: str) -> None:
        """The provider's own name of the request: its usage report knows it by that. The first
        one that is told counts."""
        if name and name.isprintable() and not self.draft.provider_request_id:
            self.draft.provider_request_id = name[:MAX_NAME]

    def answered(
        self,
        usage: Usage,
        outcome: AttemptOutcome = "answered",
        *,
        units: int = 0,
        audio: int = 0,
    ) -> None:
        """The provider's usage record came: charge by it, and by as many `units` where it bills
        units; tokens that are told there are no bill, and count in no budget. `audio` are those of
        its input tokens that were audio."""
        quote, number = self.reservation.quote, self.draft.number
        lane = quote.lane.lane
        if quote.units is not None:
            usage = Usage()
            lines = [quote.units.charge(units, lane, number, "usage")] if units else []
        else:
            heard = audio_line(lane, min(audio, usage.input))
            apart = 0 if heard is None else heard.quantity
            lines = charges(replace(usage, input=usage.input - apart), lane, number, apart)
            if heard is not None:
                lines.append(heard.charge(heard.quantity, lane, number, "usage"))
        self.draft.usage = usage
        self._end(outcome, "usage", lines)

    @property
    def lane(self) -> PreparedLane:
        """Where it goes."""
        return self.reservation.quote.lane

    @property
    def overran(self) -> bool:
        """Whether the provider billed more than was held: its bound did not hold."""
        draft = self.draft
        return draft.settlement == "usage" and (
            draft.cost_nano > draft.quote.worst_nano
            or billed_tokens(draft.usage) > draft.quote.bound_tokens
        )

    def failed(self, outcome: AttemptOutcome, status: int, detail: str) -> None:
        """The provider refused with an error status, which is not billed."""
        self.draft.status = status
        self.draft.detail = detail[:MAX_DETAIL]
        self._end(outcome, "zero", [])

    def lost(self, outcome: AttemptOutcome, detail: str) -> None:
        """What the provider did is not known: charge all that it may have cost."""
        quote = self.reservation.quote
        self.draft.detail = detail[:MAX_DETAIL]
        lane, number = quote.lane.lane, self.draft.number
        if quote.units is not None:
            lines = [quote.units.charge(quote.units.quantity, lane, number, "unknown")]
        elif quote.heard is not None:
            rest = TokenBound(0, quote.bound.output)
            lines = charges_in_full(rest, lane, number, "none", apart=quote.heard.quantity)
            lines.append(quote.heard.charge(quote.heard.quantity, lane, number, "unknown"))
        else:
            lines = charges_in_full(quote.bound, lane, number, self.reservation.cache_write)
        self._end(outcome, "full", lines)

    def unsent(self, detail: str) -> None:
        """Nothing left for the provider."""
        self.draft.detail = detail[:MAX_DETAIL]
        self._end("unsent", "released", [])

    def _end(self, outcome: AttemptOutcome, settlement: Settlement, lines: list[Charge]) -> None:
        draft = self.draft
        self._ended = True
        draft.outcome = outcome
        draft.settlement = settlement
        draft.duration_us = self._elapsed_us()
        draft.cost_nano = sum(line.cost for line in lines)
        tokens = billed_tokens(draft.usage) if settlement == "usage" else 0
        if settlement == "full":
            tokens = draft.quote.bound_tokens
        draft.holds = self.reservation.settle(self._ledger, draft.cost_nano, tokens)
        self._run.charges.extend(lines)

    def _elapsed_us(self) -> int:
        return int((time.monotonic() - self._clock) * 1_000_000)


def billed_tokens(usage: Usage | None) -> int:
    """All tokens that a usage record bills."""
    if usage is None:
        return 0
    return (
        usage.input
        + usage.cached_input
        + usage.cache_write_5m
        + usage.cache_write_1h
        + usage.output
    )

"""Record: every identified request leaves exactly one run, whatever becomes of it.

The context that the request path lives in. Leaving it writes the run to the ledger's journal:
after an answer, a refusal, a fault of our own, or a cancelled task.
"""

import asyncio
import logging
import time

from signalbox_ledger.records import Outcome
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.identity import Caller
from signalbox_proxy.logs import FIELDS
from signalbox_proxy.refusals import Code, Refusal
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.run_ids import new_run_id
from signalbox_proxy.runtime import Runtime

MAX_DETAIL = 2000

_log = logging.getLogger("signalbox.proxy")

_OUTCOMES: dict[Code, Outcome] = {
    "provider_rejected": "rejected",
    "provider_failed": "failed",
    "provider_timeout": "failed",
    "no_lane": "failed",
    "internal": "failed",
}


class Recording:
    """Gives the run to fill in and records it in the end.

    Faults of our own leave as `Refusal("internal")`, a request that a stopping process gives up
    as `Refusal("not_ready")`: nothing else passes through but the cancellation of the task.
    """

    def __init__(self, exchange: Exchange, runtime: Runtime, caller: Caller) -> None:
        ledger = exchange.services.ledger
        now_ms = ledger.now_ms()
        self._exchange = exchange
        self._run = RunDraft(
            run_id=new_run_id(now_ms),
            started_at=now_ms,
            started_clock=time.monotonic(),
            runtime=runtime,
            agent=runtime.agents[caller.agent.id],
            surface=exchange.surface.name,
            holder=ledger.holder_id,
        )
        exchange.run_id = self._run.run_id
        exchange.agent = caller.agent.id

    async def __aenter__(self) -> RunDraft:
        return self._run

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        refusal: Refusal | None = None
        if isinstance(error, Refusal):
            refusal = error
        elif isinstance(error, Exception):
            refusal = self._fault(error)
        elif isinstance(error, asyncio.CancelledError) and self._exchange.services.stopping:
            refusal = Refusal("not_ready", "This proxy is stopping. Try again.", retry_after_s=1)
        if refusal is not None:
            self._refused(refusal)
        elif error is not None and not self._run.attempts:
            self._run.outcome = "failed"
        self._record()
        if refusal is not None and refusal is not error:
            raise refusal from None

    def _refused(self, refusal: Refusal) -> None:
        run = self._run
        run.outcome = _OUTCOMES.get(refusal.code, "refused")
        if refusal.code in ("internal", "not_ready") and run.attempts:
            run.outcome = "unknown"
        run.refusal = refusal.code
        run.refusal_detail = refusal.message[:MAX_DETAIL]
        run.status = refusal.http_status
        self._exchange.services.metrics.refused(refusal.code)

    def _fault(self, error: Exception) -> Refusal:
        _log.error(
            "request failed",
            exc_info=error,
            extra={FIELDS: {"run_id": self._run.run_id, "surface": self._run.surface}},
        )
        return Refusal("internal", "Signalbox failed to serve this request. It is logged.")

    def _record(self) -> None:
        run, services = self._run, self._exchange.services
        run.duration_us = int((time.monotonic() - run.started_clock) * 1_000_000)
        if self._exchange.client_left:
            run.client_left = True
        services.ledger.record(run.run())
        elsewhere = 0
        for attempt in run.attempts:
            elsewhere += attempt.duration_us
            services.metrics.attempt_ended(attempt.outcome, attempt.settlement)
        services.metrics.run_ended(
            surface=run.surface,
            outcome=run.outcome,
            cost_nano=run.cost_nano,
            duration_us=run.duration_us,
            overhead_us=max(0, run.duration_us - elsewhere),
        )

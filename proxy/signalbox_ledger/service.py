"""What the authority answers to one request: protocol on one side, store on the other.

No sockets and no clock of its own; `authority` brings both.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from signalbox_ledger import (
    budget_signals,
    desk,
    draws,
    idempotency,
    protocol,
    response_store,
    run_lookup,
    status,
)
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest, DeskRequest
from signalbox_ledger.holder_store import HolderRefusedError
from signalbox_ledger.journal import encode_run
from signalbox_ledger.protocol import Refused, Reply
from signalbox_ledger.session import Session
from signalbox_ledger.settlement import GapError, settle
from signalbox_ledger.store import Store

DRAWING = (protocol.Draw, protocol.Poll)
"""What is answered together."""


class Service:
    """Answers requests, inside a transaction that the caller opened."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer_all(
        self, asked: Sequence[tuple[Session, AnyRequest]], now_ms: int
    ) -> list[AnyReply]:
        """The replies, in order; draws and polls that stand side by side are answered together.
        Errors of the database pass through, and ValueError and JournalError for what one request
        alone is to blame for."""
        replies: list[AnyReply] = []
        for together, group in groupby(asked, lambda each: isinstance(each[1], DRAWING)):
            if together:
                replies += draws.answer(self._store, _drawing(group), now_ms)
            else:
                replies += [self.answer(session, request, now_ms) for session, request in group]
        return replies

    def answer(self, session: Session, request: AnyRequest, now_ms: int) -> AnyReply:
        """The reply, or a refusal that says why. Errors of the database pass through."""
        if isinstance(request, DRAWING):
            return draws.answer(self._store, [(session, request)], now_ms)[0]
        try:
            return self._answer(session, request, now_ms)
        except HolderRefusedError as error:
            return Refused(error.problem, str(error))

    def _answer(self, session: Session, request: AnyRequest, now_ms: int) -> AnyReply:
        match request:
            case protocol.Return(items):
                self._check(session)
                self._store.accounts.give_back(session.holder, items)
                return protocol.Done()
            case protocol.Configure(generation, specs):
                current = self._store.configure(generation, specs, now_ms // 1000)
                session.generation = generation
                return protocol.Configured(current)
            case protocol.ClaimKey():
                self._check(session)
                return idempotency.claim(self._store.database, request, session.holder, now_ms)
            case protocol.ReleaseKey(agent, key_digest, run_id):
                idempotency.release(self._store.database, agent, key_digest, run_id)
                return protocol.Done()
            case protocol.KeepResponse():
                self._check(session)
                response_store.keep(self._store.database, request, now_ms)
                return protocol.Done()
            case protocol.FindResponse():
                self._check(session)
                return response_store.find(self._store.database, request, now_ms)
            case _:
                return self._answer_records(session, request, now_ms)

    def _answer_records(self, session: Session, request: AnyRequest, now_ms: int) -> AnyReply:
        match request:
            case protocol.Settle():
                return self._settle(session, request)
            case protocol.Skip(holder, start, end, spent):
                self._entitled(session, holder)
                if not start < end <= session.acknowledged:
                    return Refused("invalid", "journal is skipped only after lost commits")
                if self._store.holders.skip_journal(holder, start, end):
                    self._store.accounts.set_spent(holder, spent)
                return protocol.Settled(self._store.holders.offset(holder))
            case protocol.FindRun(run_id):
                run = run_lookup.find_run(self._store.database, run_id)
                return protocol.FoundRun(None if run is None else encode_run(run))
            case protocol.Status(top):
                return status.report(self._store, top=top, now_ms=now_ms)
            case protocol.Signals(after, limit):
                return budget_signals.newest(self._store.database, after, limit)
            case _:
                return self._answer_lifecycle(session, request, now_ms)

    def _answer_lifecycle(self, session: Session, request: AnyRequest, now_ms: int) -> AnyReply:
        match request:
            case protocol.Hello():
                opened, strays = self._store.open_holder(request, now_ms)
                session.holder, session.epoch = request.holder, opened.epoch
                session.acknowledged = request.acknowledged
                state = self._store.state
                return protocol.Welcome(
                    now_ms, opened.offset, state.generation, state.min_generation, strays
                )
            case protocol.RequireGeneration(generation):
                return protocol.Required(self._store.require_generation(generation))
            case protocol.Fence(holder, name):
                offset = self._store.holders.fence(holder, name, now_ms)
                session.recovers.add(holder)
                return protocol.Settled(offset)
            case protocol.Finish(holder):
                self._entitled(session, holder)
                self._store.holders.finish(holder)
                idempotency.release_unbilled(self._store.database, holder)
                return protocol.Done()
            case protocol.PostLoss(holder):
                totals = self._store.holders.post_loss(holder, now_ms)
                amounts = {unit: amount for unit, (_, amount) in totals.items()}
                return protocol.Lost(sum(count for count, _ in totals.values()), amounts)
            case _ if isinstance(request, DeskRequest):
                return desk.answer(self._store, request, now_ms)
            case _:
                return Refused("invalid", f"{type(request).__name__} is not answered here")

    def _entitled(self, session: Session, holder: str) -> None:
        if holder in session.recovers:
            return
        if holder != session.holder:
            raise HolderRefusedError(
                "fenced", f"holder {holder} is not this connection's; fence it first"
            )
        self._check(session)

    def _check(self, session: Session) -> None:
        self._store.holders.check(session.holder, session.epoch)

    def _settle(self, session: Session, request: protocol.Settle) -> Reply:
        self._entitled(session, request.holder)
        try:
            end = settle(self._store, request.holder, request.start, request.data)
        except GapError as error:
            return Refused("gap", str(error), error.offset)
        own = request.holder == session.holder
        wanted = self._store.accounts.wanted(session.holder) if own else None
        return protocol.Settled(end, wanted, self._store.state.min_generation)


def _drawing(asked: Iterable[tuple[Session, AnyRequest]]) -> list[draws.Asked]:
    return [(session, request) for session, request in asked if isinstance(request, DRAWING)]

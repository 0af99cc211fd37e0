"""The desk: what the authority does when a person orders it. See `desk_protocol`.

Inside the caller's transaction, like all of `service`. Whatever changes something is kept in
`desk_order`, or, for corrections, in `reconciliation`.
"""

from signalbox_ledger import correcting, migrate, readmitting, run_store, run_sums
from signalbox_ledger.desk_protocol import (
    MAX_LISTED,
    Correct,
    Describe,
    Description,
    DeskReply,
    DeskRequest,
    HolderList,
    HolderState,
    HolderStatus,
    ListHolders,
    ListRefused,
    PostLossFor,
    ReadmitBy,
    RebuildSums,
    Rebuilt,
    RefusedList,
    RefusedRecord,
    Retried,
    RetryRefused,
)
from signalbox_ledger.journal import JournalError, decode_run
from signalbox_ledger.protocol import Done, Lost, Refused
from signalbox_ledger.store import Store


def answer(store: Store, request: DeskRequest, now_ms: int) -> DeskReply | Done | Lost | Refused:
    """Do what was ordered. Raises HolderRefusedError for an unknown holder."""
    match request:
        case Correct():
            return correcting.correct(store, request, now_ms)
        case ListHolders():
            return HolderList(now_ms, _holders(store, now_ms))
        case Describe():
            return _describe(store, now_ms)
        case ListRefused(limit):
            return RefusedList(_waiting(store), _refused(store, limit))
        case PostLossFor(holder, by):
            return _post_loss(store, holder, by, now_ms)
        case ReadmitBy(by):
            return _readmit(store, by, now_ms)
        case RetryRefused(by, limit):
            return _retry(store, by, limit, now_ms)
        case RebuildSums(by):
            run_sums.rebuild(store.database)
            _order(store, now_ms, (by, "rebuild-sums", ""))
            ((rows,),) = store.database.query("SELECT count(*) FROM period_sum")
            return Rebuilt(rows)


def _readmit(store: Store, by: str, now_ms: int) -> Done | Refused:
    store.hold_state()
    state = store.state
    if state.frozen:
        reason = readmitting.reason_to_wait(store.database, now_ms)
        if reason:
            return Refused("frozen", reason)
    _order(store, now_ms, (by, "readmit", state.frozen))
    store.readmit()
    return Done()


def _order(store: Store, now_ms: int, order: tuple[str, str, str]) -> None:
    """Keep an order: by whom, of which kind, about what."""
    store.database.execute(
        "INSERT INTO desk_order (ordered_at, ordered_by, kind, detail) VALUES (?, ?, ?, ?)",
        (now_ms, *order),
    )


def _holders(store: Store, now_ms: int) -> list[HolderStatus]:
    rows = store.database.query(
        "SELECT h.id, h.name, h.fenced, h.opened_at, h.seen_at, "
        "coalesce(j.journal_offset, 0), s.basis, count(s.id), "
        "CAST(coalesce(sum(s.amount - s.spent), 0) AS BIGINT) "
        "FROM holder AS h LEFT JOIN slice AS s ON s.holder = h.id "
        "LEFT JOIN settled_journal AS j ON j.holder = h.id "
        "GROUP BY h.id, h.name, h.fenced, h.opened_at, h.seen_at, j.journal_offset, s.basis "
        "ORDER BY h.name, h.opened_at DESC, h.id LIMIT ?",
        (MAX_LISTED,),
    )
    found: dict[str, HolderStatus] = {}
    for id_, name, fenced, opened_at, seen_at, offset, basis, slices, held in rows:
        state: HolderState = "fenced" if fenced else "silent"
        if not fenced and now_ms - seen_at <= readmitting.LIVE_MS:
            state = "live"
        known = found.get(id_)
        amounts = dict(known.held) if known else {}
        if basis is not None and held:
            unit = basis.partition("/")[0]
            amounts[unit] = amounts.get(unit, 0) + held
        count = slices + (known.slices if known else 0)
        found[id_] = HolderStatus(id_, name, state, opened_at, seen_at, offset, count, amounts)
    return list(found.values())


def _describe(store: Store, now_ms: int) -> Description:
    ((corrections,),) = store.database.query("SELECT count(*) FROM correction")
    state = store.state
    return Description(
        now_ms=now_ms,
        dialect=store.database.dialect,
        revision=migrate.revision_of(store.database) or migrate.HEAD,
        identity=state.identity,
        generation=state.generation,
        min_generation=state.min_generation,
        frozen=state.frozen,
        frozen_at=state.frozen_at,
        refused=_waiting(store),
        corrections=corrections,
    )


def _post_loss(store: Store, holder: str, by: str, now_ms: int) -> Lost:
    totals = store.holders.post_loss(holder, now_ms)
    amounts = {unit: amount for unit, (_, amount) in totals.items()}
    told = ", ".join(f"{amount} {unit}" for unit, amount in sorted(amounts.items()))
    _order(store, now_ms, (by, "lost", f"{holder}: {told or 'nothing was held'}"))
    return Lost(sum(count for count, _ in totals.values()), amounts)


def _waiting(store: Store) -> int:
    ((count,),) = store.database.query("SELECT count(*) FROM refused_record")
    return int(count)


def _refused(store: Store, limit: int) -> list[RefusedRecord]:
    rows = store.database.query(
        "SELECT holder, journal_end, run_id, reason, length(body) FROM refused_record "
        "ORDER BY holder, journal_end LIMIT ?",
        (limit,),
    )
    return [RefusedRecord(*row) for row in rows]


def _retry(store: Store, by: str, limit: int, now_ms: int) -> Retried:
    """What they spent was counted when they were refused: only the record is missing."""
    rows = store.database.query(
        "SELECT holder, journal_end, body FROM refused_record ORDER BY holder, journal_end LIMIT ?",
        (limit,),
    )
    taken = 0
    for holder, end, body in rows:
        try:
            run_store.insert_runs(store.database, [decode_run(bytes(body))])
        except (JournalError, run_store.RecordRefusedError):
            continue
        store.database.execute(
            "DELETE FROM refused_record WHERE holder = ? AND journal_end = ?", (holder, end)
        )
        taken += 1
    if taken:
        _order(store, now_ms, (by, "retry-refused", f"{taken} records taken"))
    return Retried(taken, _waiting(store))

"""Draws and polls of one turn, answered together: one look at their holders, one at the budgets.

Part of `service`, inside the caller's transaction. Rows are locked in one order, whoever asks:
holders, budgets, accounts, slices, each in the order of their keys; so authorities that answer
several draws at once do not wait for each other in a circle.
"""

from collections.abc import Iterator, Mapping, Sequence

from signalbox_ledger.drafting import Order
from signalbox_ledger.holder_store import HolderRefusedError, refusal
from signalbox_ledger.protocol import Draw, Drawn, Grant, Outdated, Poll, Polled, Refused, Reply
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store

Asked = tuple[Session, Draw | Poll]


def answer(store: Store, asked: Sequence[Asked], now_ms: int) -> list[Reply]:
    """The reply to each. Errors of the database pass through, and ValueError for a slice that is
    asked for twice."""
    problems, wanted = _look(store, asked)
    refused = [_refusal(store, each, problems) for each in asked]
    orders = [
        Order(session.holder, request.items)
        for (session, request), problem in zip(asked, refused, strict=True)
        if problem is None and isinstance(request, Draw)
    ]
    granted: Iterator[list[Grant]] = iter([])
    if orders:
        drawn = store.granting.draw_all(orders, store.specs, now=now_ms // 1000)
        granted, wanted = iter(drawn.grants), wanted | drawn.wanted
    needed = store.state.min_generation
    replies: list[Reply] = []
    for (session, request), problem in zip(asked, refused, strict=True):
        if problem is not None:
            replies.append(problem)
        elif isinstance(request, Draw):
            replies.append(Drawn(now_ms, next(granted), needed, wanted[session.holder]))
        else:
            replies.append(Polled(now_ms, wanted.get(session.holder, []), needed))
    return replies


def _look(
    store: Store, asked: Sequence[Asked]
) -> tuple[dict[tuple[str, int], HolderRefusedError | None], dict[str, list[str]]]:
    """Why which session is not heard, and what is wanted back of those that poll. Holds the
    holders that draw, and the budgets."""
    drawing = {session.holder for session, request in asked if isinstance(request, Draw)}
    polling = {session.holder for session, request in asked if isinstance(request, Poll)}
    holding = [store.holders.holding(drawing), *store.holding_specs()] if drawing else []
    looking = (
        [store.holders.looking_at(polling), store.accounts.asking_wanted(sorted(polling))]
        if polling
        else []
    )
    outcomes = [outcome.rows for outcome in store.database.together([*holding, *looking])]
    if len(holding) > 1:
        store.held_specs(outcomes[1])
    rows = [*(outcomes[0] if drawing else []), *(outcomes[len(holding)] if polling else [])]
    by_holder = {row[0]: row for row in rows}
    sessions = {(session.holder, session.epoch) for session, _ in asked}
    wanted: dict[str, list[str]] = {holder: [] for holder in polling}
    for holder, slice_id in outcomes[-1] if polling else []:
        wanted[holder].append(slice_id)
    problems = {
        (name, epoch): refusal(name, epoch, by_holder.get(name)) for name, epoch in sessions
    }
    return problems, wanted


def _refusal(
    store: Store,
    asked: Asked,
    problems: Mapping[tuple[str, int], HolderRefusedError | None],
) -> Reply | None:
    session, request = asked
    problem = problems[session.holder, session.epoch]
    if problem is not None:
        return Refused(problem.problem, str(problem))
    if isinstance(request, Poll):
        return None
    needed = store.state.min_generation
    if session.generation < needed:
        return Outdated(needed)
    if frozen := store.state.frozen:
        return Refused("frozen", f"draws are frozen: {frozen}")
    return None

"""How every budget stands, as the authority knows it: what `status` shows people.

`report` computes it inside the authority; `fetch` asks a running authority over its socket.
"""

from pathlib import Path

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.protocol import BudgetStatus, Status, StatusReport, SubjectStatus
from signalbox_ledger.sqlite_store import SqliteStore


def report(store: SqliteStore, *, top: int, now_ms: int) -> StatusReport:
    """The present window of every budget in force, sorted by id."""
    budgets = [
        budget_status(store, spec, top=top, now=now_ms // 1000)
        for _, spec in sorted(store.specs.items())
    ]
    return StatusReport(now_ms=now_ms, generation=store.generation, budgets=budgets)


def budget_status(store: SqliteStore, spec: BudgetSpec, *, top: int, now: int) -> BudgetStatus:
    """One budget; `top` subjects, those with the least remaining first."""
    start, end = spec.window(now)
    accounts = store.accounts.accounts_at(spec, start)
    subjects = sorted(
        (item for item in accounts if item[0]), key=lambda item: (item[1].remaining, item[0])
    )
    total = Figures(
        limit=spec.limit,
        granted=sum(figures.granted for _, figures in accounts),
        held=sum(figures.held for _, figures in accounts),
        overrun=sum(figures.overrun for _, figures in accounts),
    )
    return BudgetStatus(
        budget=spec.id,
        unit=spec.unit,
        generation=store.generation,
        window_start=start,
        window_end=end,
        figures=total,
        remaining=min((figures.remaining for _, figures in accounts), default=spec.limit),
        subjects=len(subjects),
        exhausted_subjects=sum(figures.state == "exhausted" for _, figures in subjects),
        top=[SubjectStatus(subject, figures) for subject, figures in subjects[:top]],
    )


async def fetch(socket: Path, *, top: int = 5) -> StatusReport:
    """The status of all budgets. Raises LedgerUnavailableError."""
    async with connected(socket) as ask:
        reply = await ask(Status(top=top))
    if not isinstance(reply, StatusReport):
        raise LedgerUnavailableError(f"the authority refuses: {reply}")
    return reply

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
    subjects, granted, overrun, drawn_up = store.accounts.totals_at(spec, start)
    held = store.accounts.held_at(spec, start)
    found = store.accounts.largest_at(spec, start, held, max(top, drawn_up) + 1)
    named = [(subject, figures) for subject, figures in found if subject]
    return BudgetStatus(
        budget=spec.id,
        unit=spec.unit,
        generation=store.generation,
        window_start=start,
        window_end=end,
        figures=Figures(spec.limit, granted, sum(held.values()), overrun),
        remaining=found[0][1].remaining if found else spec.limit,
        subjects=subjects,
        exhausted_subjects=sum(figures.state == "exhausted" for _, figures in named),
        top=[SubjectStatus(subject, figures) for subject, figures in named[:top]],
    )


async def fetch(socket: Path, *, top: int = 5) -> StatusReport:
    """The status of all budgets. Raises LedgerUnavailableError."""
    async with connected(socket) as ask:
        reply = await ask(Status(top=top))
    if not isinstance(reply, StatusReport):
        raise LedgerUnavailableError(f"the authority refuses: {reply}")
    return reply

"""How every budget stands, as the authority knows it: what `status` shows people.

`report` computes it inside the authority; `fetch` asks a running authority over its socket.
"""

from pathlib import Path

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.database import Database
from signalbox_ledger.protocol import BudgetStatus, Status, StatusReport, SubjectStatus
from signalbox_ledger.store import Store


def report(store: Store, *, top: int, now_ms: int) -> StatusReport:
    """The present window of every budget in force, sorted by id."""
    budgets = [
        budget_status(store, spec, top=top, now=now_ms // 1000)
        for _, spec in sorted(store.specs.items())
    ]
    return StatusReport(now_ms=now_ms, generation=store.generation, budgets=budgets)


def budget_status(store: Store, spec: BudgetSpec, *, top: int, now: int) -> BudgetStatus:
    """One budget; `top` subjects, those with the least remaining first."""
    start, end = spec.window(now)
    database = store.database
    subjects, granted, overrun, drawn_up = _totals_at(database, spec, start)
    held = _held_at(database, spec, start)
    found = _largest_at(database, spec, start, (held, max(top, drawn_up) + 1))
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


def _totals_at(database: Database, spec: BudgetSpec, start: int) -> tuple[int, int, int, int]:
    """In the window from `start`: accounts with a subject, granted, overrun, and subjects with
    nothing left to draw. The shared account is in the sums only."""
    (row,) = database.query(
        "SELECT COALESCE(SUM(CASE WHEN subject <> '' THEN 1 ELSE 0 END), 0), "
        "COALESCE(SUM(granted), 0), COALESCE(SUM(overrun), 0), COALESCE(SUM(CASE WHEN "
        "subject <> '' AND granted + overrun >= limit_amount THEN 1 ELSE 0 END), 0) "
        "FROM account WHERE budget = ? AND basis = ? AND window_start = ?",
        (spec.id, spec.basis, start),
    )
    return (int(row[0]), int(row[1]), int(row[2]), int(row[3]))


def _held_at(database: Database, spec: BudgetSpec, start: int) -> dict[str, int]:
    """What is held by subject, where anything is."""
    rows = database.query(
        "SELECT subject, SUM(amount - spent) FROM slice "
        "WHERE budget = ? AND basis = ? AND window_start = ? AND amount > spent "
        "GROUP BY subject",
        (spec.id, spec.basis, start),
    )
    return {subject: int(held) for subject, held in rows}


def _largest_at(
    database: Database, spec: BudgetSpec, start: int, among: tuple[dict[str, int], int]
) -> list[tuple[str, Figures]]:
    """The accounts with the least remaining, ascending; the shared one among them. `among`: what
    is held by subject, and how many to find."""
    held, count = among
    # What is held only adds to `remaining`: nobody beyond this many can come to the front.
    rows = database.query(
        "SELECT subject, limit_amount, granted, overrun FROM account "
        "WHERE budget = ? AND basis = ? AND window_start = ? "
        "ORDER BY granted + overrun DESC, subject LIMIT ?",
        (spec.id, spec.basis, start, count + len(held)),
    )
    found = [
        (subject, Figures(limit, granted, held.get(subject, 0), overrun))
        for subject, limit, granted, overrun in rows
    ]
    found.sort(key=lambda item: (item[1].remaining, item[0]))
    return found[:count]


async def fetch(socket: Path, *, top: int = 5) -> StatusReport:
    """The status of all budgets. Raises LedgerUnavailableError."""
    async with connected(socket) as ask:
        reply = await ask(Status(top=top))
    if not isinstance(reply, StatusReport):
        raise LedgerUnavailableError(f"the authority refuses: {reply}")
    return reply

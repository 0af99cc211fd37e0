"""How every budget stands, as the authority knows it: what `status` shows people.

`report` computes it inside the authority; `fetch` asks a running authority over its socket.
"""

from pathlib import Path

import msgspec

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.asking import Ask, connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.database import Database, Row
from signalbox_ledger.protocol import BudgetStatus, Status, StatusReport, SubjectStatus
from signalbox_ledger.store import Store


def report(store: Store, *, top: int, now_ms: int) -> StatusReport:
    """The present window of every budget in force, sorted by id.

    Budgets with one account are read together, in two round trips however many there are.
    """
    now = now_ms // 1000
    found = {each.budget: each for each in _shared(store, now)}
    budgets = [
        found.get(id_) or budget_status(store, spec, top=top, now=now)
        for id_, spec in sorted(store.specs.items())
    ]
    return StatusReport(now_ms=now_ms, generation=store.generation, budgets=budgets)


def budget_status(store: Store, spec: BudgetSpec, *, top: int, now: int) -> BudgetStatus:
    """One budget; `top` subjects, those with the least remaining first."""
    start, end = spec.window(now)
    accounts = _Accounts(store.database, spec, start)
    subjects, granted = accounts.totals()
    held = accounts.held()
    found = accounts.largest(held, max(top, accounts.drawn_up()) + 1)
    named = [(subject, figures) for subject, figures in found if subject]
    return BudgetStatus(
        budget=spec.id,
        unit=spec.unit,
        generation=store.generation,
        window_start=start,
        window_end=end,
        figures=Figures(spec.limit, granted, sum(held.values()), accounts.overrun),
        remaining=found[0][1].remaining if found else spec.limit,
        subjects=subjects,
        exhausted_subjects=sum(figures.state == "exhausted" for _, figures in named),
        top=[SubjectStatus(subject, figures) for subject, figures in named[:top]],
        per=spec.per,
    )


_ACCOUNT = (
    "SELECT granted, overrun FROM account "
    "WHERE budget = ? AND basis = ? AND subject = '' AND window_start = ?"
)
_HELD = (
    "SELECT COALESCE(SUM(amount - spent), 0) FROM slice "
    "WHERE budget = ? AND basis = ? AND subject = '' AND window_start = ? AND amount > spent"
)


def _shared(store: Store, now: int) -> list[BudgetStatus]:
    """Budgets whose one account all share."""
    specs = [(spec, *spec.window(now)) for spec in store.specs.values() if spec.per is None]
    keys = [(spec.id, spec.basis, start) for spec, start, _ in specs]
    accounts = store.database.query_many(_ACCOUNT, keys)
    held = store.database.query_many(_HELD, keys)
    return [
        _shared_status(store.generation, spec, (start, end), rows, int(sums[0][0]))
        for (spec, start, end), rows, sums in zip(specs, accounts, held, strict=True)
    ]


def _shared_status(
    generation: int, spec: BudgetSpec, window: tuple[int, int], rows: list[Row], held: int
) -> BudgetStatus:
    granted, overrun = rows[0] if rows else (0, 0)
    figures = Figures(spec.limit, int(granted), held, int(overrun))
    return BudgetStatus(
        budget=spec.id,
        unit=spec.unit,
        generation=generation,
        window_start=window[0],
        window_end=window[1],
        figures=figures,
        remaining=figures.remaining if rows else spec.limit,
        subjects=0,
        exhausted_subjects=0,
        top=[],
    )


class _Accounts:
    """The accounts of one budget in one window: perhaps those of a hundred thousand users, so each
    question is answered from an index. What was billed above holds is rare, and read whole."""

    def __init__(self, database: Database, spec: BudgetSpec, start: int) -> None:
        self._database = database
        self._window = (spec.id, spec.basis, start)
        self._limit = spec.limit
        self._overrun = self._figures("AND overrun > 0", ())

    @property
    def overrun(self) -> int:
        """What was billed above holds, of all accounts."""
        return sum(figures.overrun for _, figures in self._overrun)

    def totals(self) -> tuple[int, int]:
        """Accounts with a subject, and what is granted of all, the shared one included."""
        ((count, granted),) = self._query("SELECT COUNT(*), COALESCE(SUM(granted), 0)", "", ())
        shared = self._database.query(
            "SELECT 1 FROM account "
            "WHERE budget = ? AND basis = ? AND window_start = ? AND subject = ''",
            self._window,
        )
        return int(count) - len(shared), int(granted)

    def drawn_up(self) -> int:
        """At most so many accounts have nothing left to draw."""
        ((count,),) = self._query("SELECT COUNT(*)", "AND granted >= ?", (self._limit,))
        return int(count) + len(self._overrun)

    def held(self) -> dict[str, int]:
        """What is held by subject, where anything is."""
        rows = self._database.query(
            "SELECT subject, SUM(amount - spent) FROM slice "
            "WHERE budget = ? AND basis = ? AND window_start = ? AND amount > spent "
            "GROUP BY subject",
            self._window,
        )
        return {subject: int(held) for subject, held in rows}

    def largest(self, held: dict[str, int], count: int) -> list[tuple[str, Figures]]:
        """The accounts with the least remaining, ascending; the shared one among them."""
        # What is held only adds to `remaining`: nobody beyond this many can come to the front.
        first = self._figures("ORDER BY granted DESC LIMIT ?", (count + len(held),))
        found = [
            (subject, msgspec.structs.replace(figures, held=held.get(subject, 0)))
            for subject, figures in dict([*first, *self._overrun]).items()
        ]
        found.sort(key=lambda item: (item[1].remaining, item[0]))
        return found[:count]

    def _figures(self, condition: str, parameters: tuple[int, ...]) -> list[tuple[str, Figures]]:
        rows = self._query("SELECT subject, granted, overrun", condition, parameters)
        return [(row[0], Figures(self._limit, row[1], None, row[2])) for row in rows]

    def _query(self, select: str, condition: str, parameters: tuple[int, ...]) -> list[Row]:
        return self._database.query(
            f"{select} FROM account "
            f"WHERE budget = ? AND basis = ? AND window_start = ? AND window_end >= 0 {condition}",
            (*self._window, *parameters),
        )


async def fetch(socket: Path, *, top: int = 5) -> StatusReport:
    """The status of all budgets. Raises LedgerUnavailableError."""
    async with connected(socket) as ask:
        return await fetched(ask, top=top)


async def fetched(ask: Ask, *, top: int = 5) -> StatusReport:
    """As `fetch`, on a connection that is there."""
    reply = await ask(Status(top=top))
    if not isinstance(reply, StatusReport):
        raise LedgerUnavailableError(f"the authority refuses: {reply}")
    return reply

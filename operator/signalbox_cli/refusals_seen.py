"""Which budgets refused somebody in their present window: what makes a budget exhausted.

A budget with a fraction of a cent left is not empty, yet it lets no request pass. The ledger knows
who was refused and when; this reads what is new there.
"""

import re
from pathlib import Path
from typing import Final

from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader, RunFilter, RunSummary

CODES: Final = frozenset({"budget_exhausted", "rate_limited"})
_BUDGET: Final = re.compile(r"Budget ([a-z0-9-]+/[a-z0-9-]+) (?!of this )")
"""How such a refusal begins. One user's or session's own account says `of this` and is left out: it
says nothing about the others."""


class RefusalsSeen:
    """The latest refusal by each budget, found by following the ledger."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger
        self._reader: LedgerReader | None = None
        self._position = 0
        self._latest: dict[str, int] = {}

    def read(self) -> None:
        """Takes up what was recorded since the last call."""
        try:
            if self._reader is None:
                self._reader = LedgerReader(self._path)
            for run in self._reader.follow(self._position, RunFilter(outcome="refused")):
                self._position = run.position
                self._note(run)
        except LedgerUnreadableError:
            self.close()

    def refused_since(self, budget: str, window_start: int) -> bool:
        """Whether the budget refused somebody in a window that began at `window_start` (s)."""
        return self._latest.get(budget, -1) >= window_start * 1000

    def close(self) -> None:
        """Closes the ledger."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _note(self, run: RunSummary) -> None:
        named = _BUDGET.match(run.refusal_detail) if run.refusal in CODES else None
        if named is not None:
            self._latest[named[1]] = max(run.timestamp, self._latest.get(named[1], 0))

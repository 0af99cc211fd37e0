"""Which budgets refuse at present: what makes a budget exhausted.

A budget with a fraction of a cent left is not empty, yet it lets no request pass. The ledger knows
who was refused and when, and who was admitted since; this reads what is new there.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader, RunSummary

CODES: Final = frozenset({"budget_exhausted", "rate_limited"})
PAGE: Final = 1000
PAGES: Final = 20
"""Runs that one call reads, at most PAGE times PAGES; what is left waits for the next."""

_BUDGET: Final = re.compile(r"Budget ([a-z0-9-]+/[a-z0-9-]+) (?!of this )")
"""How such a refusal begins. One user's or session's own account says `of this` and is left out: it
says nothing about the others."""


class _Refusal(NamedTuple):
    """When a budget refused last (ms), and whom."""

    timestamp: int
    agent: str


class RefusalsSeen:
    """The latest refusal by each budget, found by following the ledger."""

    def __init__(self, ledger: Path) -> None:
        self._path = ledger
        self._reader: LedgerReader | None = None
        self._position = 0
        self._latest: dict[str, _Refusal] = {}

    def read(self) -> None:
        """Takes up what was recorded since the last call."""
        try:
            if self._reader is None:
                self._reader = LedgerReader(self._path)
                behind = self._reader.last_position() - PAGE * PAGES
                self._position = max(self._position, behind)
            for _ in range(PAGES):
                runs = self._reader.follow(self._position, limit=PAGE)
                for run in runs:
                    self._position = run.position
                    self._note(run)
                if len(runs) < PAGE:
                    break
        except LedgerUnreadableError:
            self.close()

    def refused_since(self, budget: str, window_start: int) -> bool:
        """Whether it refused in a window from `window_start` (s), and admitted nobody since."""
        latest = self._latest.get(budget)
        return latest is not None and latest.timestamp >= window_start * 1000

    def close(self) -> None:
        """Closes the ledger."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _note(self, run: RunSummary) -> None:
        if run.lane:
            self._admitted(run)
        named = _BUDGET.match(run.refusal_detail) if run.refusal in CODES else None
        if named is not None:
            before = self._latest.get(named[1])
            if before is None or before.timestamp < run.timestamp:
                self._latest[named[1]] = _Refusal(run.timestamp, run.agent)

    def _admitted(self, run: RunSummary) -> None:
        """All budgets of an agent agreed: those that refused it before have something left."""
        for budget, refusal in list(self._latest.items()):
            if refusal.agent == run.agent and refusal.timestamp < run.timestamp:
                del self._latest[budget]

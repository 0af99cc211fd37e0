"""Which budgets refuse at present: what makes a budget exhausted.

A budget with a fraction of a cent left is not empty, yet it lets no request pass. The ledger knows
who was refused and when, and who was admitted since; this reads what is new there.
"""

from pathlib import Path
from typing import Final, NamedTuple

from signalbox_ledger.budget_signals import BudgetSignal, budget_signals
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader

PAGE: Final = 1000
PAGES: Final = 20
"""Runs that one call reads, at most PAGE times PAGES; what is left waits for the next."""


class _Refusal(NamedTuple):
    """When a budget refused last (ms), and whom."""

    timestamp: int
    agent: str


class RefusalsSeen:
    """The latest refusal by each budget, found by following the ledger (a path, or a DSN)."""

    def __init__(self, ledger: Path | str) -> None:
        self._where = ledger
        self._reader: LedgerReader | None = None
        self._position = 0
        self._latest: dict[str, _Refusal] = {}

    def read(self) -> None:
        """Takes up what was recorded since the last call."""
        try:
            if self._reader is None:
                self._reader = LedgerReader(self._where)
                behind = self._reader.last_position() - PAGE * PAGES
                self._position = max(self._position, behind)
            for _ in range(PAGES):
                signals = budget_signals(self._reader, self._position, limit=PAGE)
                for signal in signals:
                    self._position = signal.position
                    self._note(signal)
                if len(signals) < PAGE:
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

    def _note(self, signal: BudgetSignal) -> None:
        if signal.admitted:
            self._admitted(signal)
        if signal.short_budget is None or signal.short_subject not in ("", signal.agent):
            return  # one user's or session's own account says nothing about the others
        before = self._latest.get(signal.short_budget)
        if before is None or before.timestamp < signal.timestamp:
            self._latest[signal.short_budget] = _Refusal(signal.timestamp, signal.agent)

    def _admitted(self, signal: BudgetSignal) -> None:
        """All budgets of an agent agreed: those that refused it before have something left."""
        for budget, refusal in list(self._latest.items()):
            if refusal.agent == signal.agent and refusal.timestamp < signal.timestamp:
                del self._latest[budget]

"""Which accounts refuse at present: what makes a budget exhausted.

A budget with a fraction of a cent left is not empty, yet it lets no request pass. The ledger knows
who was refused and when, and who was admitted since. Pure; `follow` brings what is new.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from signalbox_ledger.asking import Ask
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.protocol import BudgetSignal, SignalList, Signals

PAGE: Final = 1000
PAGES: Final = 20
"""Runs that one call reads, at most PAGE times PAGES; what is left waits for the next."""

MOST: Final = 10_000
"""Accounts that are remembered; beyond that those that refused first are forgotten."""


class _Refusal(NamedTuple):
    """When an account refused last (ms), whom, and for lack of how much."""

    timestamp: int
    agent: str
    needed: int


class Refusing:
    """The latest refusal by each account, taken up signal by signal in the order of settlement."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], _Refusal] = {}
        self._of: dict[tuple[str, str], set[str]] = {}

    def note(self, signals: Iterable[BudgetSignal]) -> None:
        """Takes up what runs say."""
        for signal in signals:
            if signal.admitted:
                self._admitted(signal)
            if signal.short_budget is not None:
                self._refused(signal, signal.short_budget, signal.short_subject or "")

    def refuses(self, budget: str, subject: str, *, window_start: int, remaining: int) -> bool:
        """Whether an account refused in the window from `window_start` (s), admitted nobody like
        it since, and has less left than was needed."""
        latest = self._latest.get((budget, subject))
        if latest is None or latest.timestamp < window_start * 1000:
            return False
        return not latest.needed or remaining < latest.needed

    def _refused(self, signal: BudgetSignal, budget: str, subject: str) -> None:
        before = self._latest.get((budget, subject))
        if before is not None and before.timestamp >= signal.timestamp:
            return
        self._forget(budget, subject)
        if len(self._latest) >= MOST:
            self._forget(*next(iter(self._latest)))
        self._latest[budget, subject] = _Refusal(signal.timestamp, signal.agent, signal.needed)
        self._of.setdefault((signal.agent, subject), set()).add(budget)

    def _admitted(self, signal: BudgetSignal) -> None:
        """All budgets of an agent agreed: those that refused it before have something left."""
        for subject in {"", signal.agent, signal.user, signal.session}:
            for budget in tuple(self._of.get((signal.agent, subject), ())):
                if self._latest[budget, subject].timestamp < signal.timestamp:
                    self._forget(budget, subject)

    def _forget(self, budget: str, subject: str) -> None:
        known = self._latest.pop((budget, subject), None)
        if known is None:
            return
        budgets = self._of[known.agent, subject]
        budgets.discard(budget)
        if not budgets:
            del self._of[known.agent, subject]


class Follower:
    """Follows the record of a running authority. Begins with the newest runs."""

    def __init__(self) -> None:
        self.refusing = Refusing()
        self._position: int | None = None

    async def follow(self, ask: Ask) -> None:
        """Takes up what was settled since the last call. Raises LedgerUnavailableError."""
        for _ in range(PAGES):
            first = self._position is None
            reply = await ask(Signals(self._position, PAGE * 10 if first else PAGE))
            if not isinstance(reply, SignalList):
                raise LedgerUnavailableError(f"the authority refuses: {reply}")
            self.refusing.note(reply.signals)
            self._position = reply.position
            if first or len(reply.signals) < PAGE:
                break

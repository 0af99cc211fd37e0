"""When a budget will be used up, if it goes on as in the recent past. Pure, integers.

A straight line through what was used at the beginning of the recent past and what is used now. A
budget that nothing was spent of recently has no forecast, nor has one that outlasts its window.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from signalbox_operator.facts import AccountFacts

PAST_S: Final = 900
"""How far back the recent past goes."""

LEAST_S: Final = 60
"""A shorter past says nothing."""

EVERY_S: Final = 30
"""How often the past is noted; so many seconds are all that a forecast can be off by its memory."""

FARTHEST_S: Final = 366 * 86_400
"""Beyond that nothing is forecast."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used by an instant (seconds)."""

    at: int
    used: int


def exhausts_at(past: Sample, now: Sample, *, limit: int) -> int:
    """The instant (seconds, rounded up to a whole minute) when `limit` is used; 0 for none."""
    elapsed, spent = now.at - past.at, now.used - past.used
    left = limit - now.used
    if elapsed < LEAST_S or spent <= 0 or left <= 0:
        return 0
    seconds = -(-left * elapsed // spent)
    return 0 if seconds > FARTHEST_S else -(-(now.at + seconds) // 60) * 60


@dataclass(slots=True)
class _Past:
    window_start: int
    samples: deque[Sample] = field(default_factory=deque)


class Trend:
    """The recent past of every budget; a new window begins a new past."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def noted(self, accounts: Iterable[AccountFacts], now: int) -> tuple[AccountFacts, ...]:
        """The facts, each with its forecast; `now` in seconds. Budgets that are not named any more
        are forgotten."""
        found = tuple(accounts)
        past: dict[str, _Past] = {}
        told = []
        for facts in found:
            known = self._past.get(facts.budget)
            if known is None or known.window_start != facts.window_start:
                known = _Past(facts.window_start)
            past[facts.budget] = known
            told.append(replace(facts, exhausts_at=_forecast(known.samples, facts, now)))
        self._past = past
        return tuple(told)


def _forecast(samples: deque[Sample], facts: AccountFacts, now: int) -> int:
    # Of a budget with an account for each, the one that will be used up first leads.
    used = facts.limit - facts.remaining
    current = Sample(now, used)
    if not samples or now - samples[-1].at >= EVERY_S:
        samples.append(current)
    # What comes before the recent past is dropped, as long as something of its length is left.
    while len(samples) > 1 and samples[1].at <= now - PAST_S:
        samples.popleft()
    at = exhausts_at(samples[0], current, limit=facts.limit)
    return 0 if facts.window_end and at >= facts.window_end else at

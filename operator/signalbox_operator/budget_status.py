"""What a budget's status says: amounts as decimal text, and whether anything is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from signalbox_api.amounts import usd_text
from signalbox_api.conditions import ConditionStatus, Reason
from signalbox_operator.facts import AccountFacts
from signalbox_snapshot import snapshot as wire

_HUNDRED: Final = 100

Verdict = tuple[ConditionStatus, Reason, str]


@dataclass(frozen=True, slots=True)
class BudgetSums:
    """A budget over all of its accounts in use, in its unit."""

    limit: int
    settled: int
    held: int
    overrun: int
    window: tuple[int, int]
    subjects: int
    exhausted: int

    @property
    def percent(self) -> int:
        """Settled and overrun as per cent of the limit, rounded down; 100 where nothing is
        allowed."""
        used = self.settled + self.overrun
        return used * _HUNDRED // self.limit if self.limit else _HUNDRED


def sums(budget: wire.Budget, accounts: Sequence[AccountFacts]) -> BudgetSums:
    """Adds up the accounts of a budget; without any, nothing is spent."""
    limit = sum(account.limit for account in accounts) if accounts else budget.limit
    return BudgetSums(
        limit=limit,
        settled=sum(account.settled for account in accounts),
        held=sum(account.held for account in accounts),
        overrun=sum(account.overrun for account in accounts),
        window=max(
            ((account.window_start, account.window_end) for account in accounts), default=(0, 0)
        ),
        subjects=sum(account.subject != "" for account in accounts),
        exhausted=sum(account.exhausted for account in accounts),
    )


def fields(budget: wire.Budget, total: BudgetSums) -> dict[str, object]:
    """The fields of the status, by their names in Python."""
    start, end = total.window
    left = total.limit - total.settled - total.held - total.overrun
    return {
        "unit": budget.unit,
        "limit": amount(budget.limit, budget.unit),
        "settled": amount(total.settled, budget.unit),
        "held": amount(total.held, budget.unit),
        "remaining": amount(left, budget.unit),
        "overrun": amount(total.overrun, budget.unit),
        "percent": total.percent,
        "window_start": _instant(start),
        "window_end": _instant(end),
        "subjects": total.subjects if budget.per else None,
    }


def exhaustion(budget: wire.Budget | None, accounts: Sequence[AccountFacts] | None) -> Verdict:
    """The condition Exhausted. `accounts` is None while the ledger has not been heard."""
    if budget is None or accounts is None:
        return ConditionStatus.UNKNOWN, Reason.NOT_REPORTED, "The ledger has not been heard yet."
    total = sums(budget, accounts)
    spent = (
        f"{amount(total.settled + total.overrun, budget.unit)} of"
        f" {amount(total.limit, budget.unit)} {_UNIT[budget.unit]} ({total.percent} %)"
    )
    tail = _tail(budget, total)
    if accounts and total.exhausted == len(accounts):
        if total.overrun:
            return ConditionStatus.TRUE, Reason.OVERRUN, f"{_overrun(budget, total)} {spent}.{tail}"
        return ConditionStatus.TRUE, Reason.EXHAUSTED, f"Nothing is left: {spent}.{tail}"
    if total.overrun:
        return ConditionStatus.FALSE, Reason.OVERRUN, f"{_overrun(budget, total)} {spent}."
    if total.exhausted:
        return (
            ConditionStatus.FALSE,
            Reason.WARN_LEVEL,
            f"{total.exhausted} of {len(accounts)} accounts have nothing left.{tail}",
        )
    passed = [step for step in budget.warn_at_percent if step <= total.percent]
    if passed:
        message = f"More than {passed[-1]} % is spent: {spent}."
        return ConditionStatus.FALSE, Reason.WARN_LEVEL, message
    return ConditionStatus.FALSE, Reason.WITHIN_LIMIT, f"Spent: {spent}."


_UNIT: Final = {"usd": "USD", "tokens": "tokens", "requests": "requests"}


def amount(value: int, unit: wire.Unit) -> str:
    """An amount as status writes it: USD as decimal text, all else as a whole number."""
    return usd_text(value) if unit == "usd" else str(value)


def _overrun(budget: wire.Budget, total: BudgetSums) -> str:
    more = amount(total.overrun, budget.unit)
    return f"Providers billed {more} {_UNIT[budget.unit]} more than was held."


def _tail(budget: wire.Budget, total: BudgetSums) -> str:
    end = _instant(total.window[1])
    if end is None:
        return " Raise the limit to go on."
    return f" The next window begins at {end:%Y-%m-%dT%H:%M:%SZ}; raise the limit to go on before."


def _instant(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None

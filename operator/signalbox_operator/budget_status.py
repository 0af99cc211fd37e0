"""What a budget's status says: amounts as decimal text, and whether anything is left."""

from datetime import UTC, datetime
from typing import Final

from signalbox_api.amounts import usd_text
from signalbox_api.conditions import ConditionStatus, Reason
from signalbox_operator.facts import AccountFacts
from signalbox_snapshot import snapshot as wire

Verdict = tuple[ConditionStatus, Reason, str]

_HUNDRED: Final = 100
_UNIT: Final = {"usd": "USD", "tokens": "tokens", "requests": "requests"}
_FALSE, _TRUE = ConditionStatus.FALSE, ConditionStatus.TRUE


def untouched(budget: wire.Budget) -> AccountFacts:
    """The facts of a budget that nothing was spent under."""
    return AccountFacts(budget.id, budget.limit, 0, 0, 0, budget.limit)


def fields(budget: wire.Budget, facts: AccountFacts) -> dict[str, object]:
    """The amounts of the status, by their names in Python.

    What remains is what can still be reserved; with `per`, in the account with the least.
    """
    shared = facts.limit - facts.settled - facts.held - facts.overrun
    return {
        "unit": budget.unit,
        "limit": amount(budget.limit, budget.unit),
        "settled": amount(facts.settled, budget.unit),
        "held": amount(facts.held, budget.unit),
        "remaining": amount(facts.remaining if budget.per else shared, budget.unit),
        "overrun": amount(facts.overrun, budget.unit),
        "percent": percent(budget, facts),
        "window": _length(budget.window),
        "window_start": _instant(facts.window_start),
        "window_end": _instant(facts.window_end),
        "subjects": facts.subjects if budget.per else None,
    }


def _length(window: wire.Window) -> str:
    return window.every if window.count == 1 else f"{window.count} {window.every}s"


def percent(budget: wire.Budget, facts: AccountFacts) -> int:
    """Spent as per cent of the limit, rounded down: of the account with the least remaining."""
    spent = facts.limit - facts.remaining if budget.per else facts.settled + facts.overrun
    return spent * _HUNDRED // facts.limit if facts.limit else _HUNDRED


def exhaustion(budget: wire.Budget | None, facts: AccountFacts | None) -> Verdict:
    """The condition Exhausted. `facts` is None while the ledger has not been heard."""
    if budget is None or facts is None:
        return ConditionStatus.UNKNOWN, Reason.NOT_REPORTED, "The ledger has not been heard yet."
    spent = _spent(budget, facts)
    overrun = _overrun(budget, facts)
    if _nothing_left(budget, facts):
        reason = Reason.OVERRUN if facts.overrun else Reason.EXHAUSTED
        return _TRUE, reason, f"{overrun}{spent} {_what_next(facts)}"
    if facts.overrun:
        return _FALSE, Reason.OVERRUN, f"{overrun}{spent}"
    if facts.exhausted_subjects:
        count = f"{facts.exhausted_subjects} of {facts.subjects} {budget.per} accounts"
        return _FALSE, Reason.WARN_LEVEL, f"{count} have nothing left. {_what_next(facts)}"
    used = percent(budget, facts)
    passed = [step for step in budget.warn_at_percent if step <= used]
    if passed:
        return _FALSE, Reason.WARN_LEVEL, f"{passed[-1]} % is reached. {spent}"
    return _FALSE, Reason.WITHIN_LIMIT, spent


def amount(value: int, unit: wire.Unit) -> str:
    """An amount as status writes it: USD as decimal text, all else as a whole number."""
    return usd_text(value) if unit == "usd" else str(value)


def _nothing_left(budget: wire.Budget, facts: AccountFacts) -> bool:
    """With `per`, the budget is exhausted when every account in use is."""
    if budget.per and facts.subjects:
        return facts.exhausted_subjects >= facts.subjects
    return facts.remaining <= 0 or facts.refused


def _spent(budget: wire.Budget, facts: AccountFacts) -> str:
    unit, used = _UNIT[budget.unit], percent(budget, facts)
    limit = amount(facts.limit, budget.unit)
    if budget.per:
        return f"The {budget.per} that spent most has used {used} % of {limit} {unit}."
    settled = amount(facts.settled + facts.overrun, budget.unit)
    return f"{settled} of {limit} {unit} is spent ({used} %)."


def _overrun(budget: wire.Budget, facts: AccountFacts) -> str:
    if not facts.overrun:
        return ""
    more = amount(facts.overrun, budget.unit)
    return f"Providers billed {more} {_UNIT[budget.unit]} more than was held. "


def _what_next(facts: AccountFacts) -> str:
    end = _instant(facts.window_end)
    if end is None:
        return "Raise the limit to go on."
    return f"The next window begins at {end:%Y-%m-%dT%H:%M:%SZ}; raise the limit to go on before."


def _instant(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None

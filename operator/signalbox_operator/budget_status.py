"""What a budget's status says: amounts as decimal text, and whether anything is left.

With an account for each user, session or agent, `Exhausted` means that one of them at least is
refused: whoever watches the budget wants to hear of the first, not of the last.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from signalbox_api.amounts import usd_text
from signalbox_api.conditions import ConditionStatus, Reason
from signalbox_api.status import MAX_WORST, SubjectAccount
from signalbox_operator.facts import AccountFacts
from signalbox_snapshot import snapshot as wire

Verdict = tuple[ConditionStatus, Reason, str]

_HUNDRED: Final = 100
_UNIT: Final = {"usd": "USD", "tokens": "tokens", "requests": "requests"}
_FALSE, _TRUE = ConditionStatus.FALSE, ConditionStatus.TRUE


FROM_THE_LEDGER: Final = (
    *("settled", "held", "remaining", "overrun", "percent", "window_start", "window_end"),
    *("exhausts_at", "subjects", "exhausted_subjects", "worst"),
)
"""Fields of the status that only the ledger knows."""


def untouched(budget: wire.Budget) -> AccountFacts:
    """The facts of a budget that nothing was spent under."""
    return AccountFacts(budget.id, budget.limit, 0, 0, 0, budget.limit)


def fields_without_ledger(budget: wire.Budget) -> dict[str, object]:
    """What is known of a budget before the ledger is heard."""
    return {
        "unit": budget.unit,
        "limit": amount(budget.limit, budget.unit),
        "window": _length(budget.window),
    }


def fields(budget: wire.Budget, facts: AccountFacts) -> dict[str, object]:
    """The amounts of the status, by their names in Python.

    What remains is what can still be reserved; with `per`, in the account with the least.
    """
    shared = facts.limit - facts.settled - facts.held - facts.overrun
    return fields_without_ledger(budget) | {
        "settled": amount(facts.settled, budget.unit),
        "held": amount(facts.held, budget.unit),
        "remaining": amount(facts.remaining if budget.per else shared, budget.unit),
        "overrun": amount(facts.overrun, budget.unit),
        "percent": percent(budget, facts),
        "window_start": _instant(facts.window_start),
        "window_end": _instant(facts.window_end),
        "exhausts_at": _instant(facts.exhausts_at),
        "subjects": facts.subjects if budget.per else None,
        "exhausted_subjects": facts.exhausted_subjects if budget.per else None,
        "worst": tuple(_worst(budget, facts)) if budget.per else (),
    }


def _worst(budget: wire.Budget, facts: AccountFacts) -> Iterator[SubjectAccount]:
    """At most MAX_WORST; the API server takes no name twice."""
    told: set[str] = set()
    for account in facts.worst:
        if account.subject and account.subject not in told and len(told) < MAX_WORST:
            told.add(account.subject)
            yield SubjectAccount(
                name=account.subject,
                settled=amount(account.settled, budget.unit),
                held=amount(account.held, budget.unit),
                remaining=amount(account.remaining - account.held, budget.unit),
                percent=used_percent(account.settled + account.overrun, facts.limit),
            )


def _length(window: wire.Window) -> str:
    return window.every if window.count == 1 else f"{window.count} {window.every}s"


def percent(budget: wire.Budget, facts: AccountFacts) -> int:
    """Spent as per cent of the limit, rounded down: of the account with the least remaining."""
    spent = facts.limit - facts.remaining if budget.per else facts.settled + facts.overrun
    return used_percent(spent, facts.limit)


def used_percent(used: int, limit: int) -> int:
    """Per cent of a limit, rounded down; of nothing, everything is used."""
    return used * _HUNDRED // limit if limit else _HUNDRED


def exhaustion(budget: wire.Budget | None, facts: AccountFacts | None) -> Verdict:
    """The condition Exhausted. `facts` is None while the ledger has not been heard."""
    if budget is None or facts is None:
        return ConditionStatus.UNKNOWN, Reason.NOT_REPORTED, "The ledger has not been heard yet."
    spent = _spent(budget, facts)
    overrun = _overrun(budget, facts)
    if nothing_left(facts):
        reason = Reason.OVERRUN if facts.overrun else Reason.EXHAUSTED
        return _TRUE, reason, f"{overrun}{spent} {_what_next(facts)}"
    if facts.overrun:
        return _FALSE, Reason.OVERRUN, f"{overrun}{spent}"
    used = percent(budget, facts)
    passed = [step for step in budget.warn_at_percent if step <= used]
    if passed:
        return _FALSE, Reason.WARN_LEVEL, f"{passed[-1]} % is reached. {spent}"
    return _FALSE, Reason.WITHIN_LIMIT, spent


def amount(value: int, unit: wire.Unit) -> str:
    """An amount as status writes it: USD as decimal text, all else as a whole number."""
    return usd_text(value) if unit == "usd" else str(value)


def nothing_left(facts: AccountFacts) -> bool:
    """`remaining` is that of the account with the least: with `per`, one that is empty will do."""
    return facts.remaining <= 0 or facts.refused


def _spent(budget: wire.Budget, facts: AccountFacts) -> str:
    unit, used = _UNIT[budget.unit], percent(budget, facts)
    limit = amount(facts.limit, budget.unit)
    if budget.per and facts.exhausted_subjects:
        count = f"{facts.exhausted_subjects} of {facts.subjects} {budget.per} accounts"
        return f"{count} have nothing left of {limit} {unit}."
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

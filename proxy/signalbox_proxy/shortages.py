"""What a client is told when budgets cannot hold its request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from signalbox_ledger.client import Shortage
from signalbox_proxy.accounts import Account
from signalbox_proxy.amounts import quantity, until
from signalbox_proxy.quotes import MIN_OUTPUT, Quote, Quoter
from signalbox_proxy.refusals import Refusal

RATE_WINDOW_S = 3600
"""Windows of requests or tokens up to this long are rates: 429 rather than 402."""

_WINDOW_S = {"minute": 60, "hour": 3600}


@dataclass(frozen=True, slots=True)
class Short:
    """A quote that could not be held, by which account, for whom."""

    quote: Quote
    account: Account
    shortage: Shortage
    agent: str = ""


def most_hopeful(shorts: Sequence[Short]) -> Short:
    """The shortage to tell of several: the one after which a retry is most likely to help."""
    return min(shorts, key=lambda short: (_hope(short), short.shortage.needed))


def shortage_record(shortage: Shortage) -> dict[str, str | int]:
    """The figures that the authority gave, as they stand in the run's decision."""
    return {
        "budget": shortage.budget,
        "subject": shortage.subject,
        "unit": shortage.unit,
        "reason": shortage.reason,
        "needed": shortage.needed,
        "limit": shortage.limit,
        "remaining": shortage.remaining,
        "affordable": shortage.affordable,
    }


def may_go_cheaper(short: Short) -> bool:
    """Whether the budget in the way lets a request be served by a cheaper lane instead."""
    if short.shortage.reason == "subjects" or short.shortage.unit == "requests":
        return False  # every lane needs the same
    return short.account.budget.on_exhausted == "CheaperLane"


def move_record(short: Short, served: Quote, attempt: int) -> dict[str, str | int]:
    """Which budget moved an attempt from the preferred lane to another, as the run's decision
    keeps it."""
    return {
        "attempt": attempt,
        "budget": short.shortage.budget,
        "subject": short.shortage.subject,
        "unit": short.shortage.unit,
        "reason": short.shortage.reason,
        "needed": short.shortage.needed,
        "remaining": short.shortage.remaining,
        "preferred": short.quote.lane.id,
        "served": served.lane.id,
    }


def dry_run_refusal(shortage: Shortage) -> str:
    """What a budget in DryRun would have refused, in one line of the run."""
    if shortage.reason == "subjects":
        return (
            f"too_many_subjects: {shortage.budget} lets an agent bring {shortage.most_subjects} "
            "new ones into a window"
        )
    return (
        f"budget_{shortage.reason}: {shortage.budget} has "
        f"{quantity(max(shortage.remaining, 0), shortage.unit)} left, "
        f"{quantity(shortage.needed, shortage.unit)} needed"
    )


def shortage_refusal(short: Short, quoter: Quoter, now_s: int) -> Refusal:
    """The refusal for a shortage."""
    shortage, budget = short.shortage, short.account.budget
    name = f"Budget {budget.id}"
    if short.account.subject and budget.per != "agent":
        name += f" of this {budget.per}"
    if shortage.reason == "unavailable":
        return Refusal(
            "store_unavailable",
            f"{name} cannot be asked at the moment, and nothing runs without it. Try again.",
            retry_after_s=2,
        )
    if shortage.reason == "subjects":
        return Refusal("too_many_subjects", _too_many(short, now_s))
    if shortage.reason == "held":
        return Refusal(
            "budget_held",
            f"{name} has {quantity(max(shortage.remaining, 0), shortage.unit)} left, but "
            "requests that are under way hold it. Try again in a moment.",
            retry_after_s=1,
        )
    if _is_rate(short.account):
        return Refusal(
            "rate_limited",
            f"{name} allows {quantity(shortage.limit, shortage.unit)} per {_window(short)}; "
            f"{quantity(max(shortage.remaining, 0), shortage.unit)} are left and this request "
            f"needs {shortage.needed}. Wait until {until(shortage.window_end, now_s)}.",
            retry_after_s=max(1, shortage.window_end - now_s),
        )
    return Refusal("budget_exhausted", _exhausted(short, name, quoter, now_s))


def _exhausted(short: Short, name: str, quoter: Quoter, now_s: int) -> str:
    shortage = short.shortage
    remaining = max(shortage.remaining, 0)
    advice = []
    fits = quoter.largest_output(short.quote, shortage.unit, remaining)
    if fits >= min(MIN_OUTPUT, short.quote.output_limit or 0) and fits:
        advice.append(f"lower max_tokens to {fits}")
    if shortage.window_end:
        advice.append(f"wait until {until(shortage.window_end, now_s)}")
    else:
        advice.append("ask its owner to raise the limit")
    hint = " or ".join(advice)
    verb = "may cost" if shortage.unit == "usd" else "may use"
    return (
        f"{name} has {quantity(remaining, shortage.unit)} left; this request {verb} "
        f"{quantity(shortage.needed, shortage.unit)}. {hint[0].upper()}{hint[1:]}."
    )


def _too_many(short: Short, now_s: int) -> str:
    shortage, budget = short.shortage, short.account.budget
    wait = f", wait until {until(shortage.window_end, now_s)}" if shortage.window_end else ""
    return (
        f"Budget {budget.id} has an account per {budget.per}, and agent {short.agent} has brought "
        f"{shortage.most_subjects} new ones into this window, as many as it may. Send the "
        f"x-signalbox-{budget.per} of one that is known{wait} or ask the budget's owner to raise "
        "maxNewSubjectsPerAgent."
    )


def _hope(short: Short) -> int:
    if short.shortage.reason == "unavailable":
        return 0
    if short.shortage.reason == "held":
        return 1
    if short.shortage.reason == "subjects":
        return 4
    return 2 if _is_rate(short.account) else 3


def _is_rate(account: Account) -> bool:
    window = account.budget.window
    length = _WINDOW_S.get(window.every, RATE_WINDOW_S + 1) * window.count
    return account.budget.unit != "usd" and length <= RATE_WINDOW_S


def _window(short: Short) -> str:
    window = short.account.budget.window
    return window.every if window.count == 1 else f"{window.count} {window.every}s"

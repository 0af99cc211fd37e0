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
    """A quote that could not be held, and by which account."""

    quote: Quote
    account: Account
    shortage: Shortage


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


def _hope(short: Short) -> int:
    if short.shortage.reason == "unavailable":
        return 0
    if short.shortage.reason == "held":
        return 1
    return 2 if _is_rate(short.account) else 3


def _is_rate(account: Account) -> bool:
    window = account.budget.window
    length = _WINDOW_S.get(window.every, RATE_WINDOW_S + 1) * window.count
    return account.budget.unit != "usd" and length <= RATE_WINDOW_S


def _window(short: Short) -> str:
    window = short.account.budget.window
    return window.every if window.count == 1 else f"{window.count} {window.every}s"

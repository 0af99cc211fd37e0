"""What Signalbox adds to an answer: the `x-signalbox-*` headers."""

from collections.abc import Sequence

from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.money import format_usd
from signalbox_proxy.accounts import Account
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.run_draft import RunDraft

SERVER = "signalbox"
"""Value of the `Server` header; aiohttp would tell its version."""


def answer_headers(
    run: RunDraft,
    attempt: AttemptInFlight,
    ledger: ProxyLedger,
    accounts: Sequence[Account],
    *,
    streamed: bool,
) -> dict[str, str]:
    """Headers of an answer: which run, model and lane, what it cost, what is left.

    A stream's cost is not known when its headers leave: they carry the most that it may be.
    """
    lane = attempt.reservation.quote.lane
    headers = {
        "server": SERVER,
        "x-request-id": run.run_id,
        "request-id": run.run_id,
        "x-signalbox-run-id": run.run_id,
        "x-signalbox-model": lane.model.name,
        "x-signalbox-lane": lane.lane.name,
    }
    if streamed:
        most = run.cost_nano + attempt.reservation.quote.worst_nano
        headers["x-signalbox-cost-max-usd"] = format_usd(most)
    else:
        headers["x-signalbox-cost-usd"] = format_usd(run.cost_nano)
    if attempt.reservation.lowered:
        headers["x-signalbox-max-output-tokens"] = str(attempt.reservation.quote.output_limit)
    tightest = _tightest(ledger, accounts)
    if tightest is not None:
        headers["x-signalbox-budget-remaining-usd"] = format_usd(tightest[0])
        headers["x-signalbox-budget"] = tightest[1]
    return headers


def _tightest(ledger: ProxyLedger, accounts: Sequence[Account]) -> tuple[int, str] | None:
    """The enforced money budget with the least left, and its name."""
    known = [
        (remaining, account.budget.id)
        for account in accounts
        if account.budget.unit == "usd"
        and account.enforced
        and (remaining := ledger.remaining(account.budget.id, account.subject)) is not None
    ]
    return min(known, default=None)

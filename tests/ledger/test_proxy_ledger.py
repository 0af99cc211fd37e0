"""What a proxy sees of the ledger, against a real authority."""

from signalbox_ledger import status
from signalbox_ledger.client import Claim, Hold, Shortage
from support.ledgers import budget, run_of


async def test_a_run_is_held_settled_recorded_and_found(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    assert ledger.try_hold([Claim("ns/day", "", 100)]) is None
    hold = await ledger.hold([Claim("ns/day", "", 100)])
    assert isinstance(hold, Hold)
    run = run_of(ledger, "r1", hold.parts)
    ledger.dispatching(run)
    parts = ledger.settle(hold, [30])
    run = run_of(ledger, "r1", parts)
    ledger.record(run)
    assert await ledger.find_run("r1") == run
    assert await ledger.find_run("r2") is None
    report = await status.fetch(authority.socket)
    assert report.budgets[0].figures.settled == 30
    await ledger.close()
    report = await status.fetch(authority.socket)
    assert report.budgets[0].figures.granted == 30


async def test_a_spent_budget_is_exhausted_with_figures(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    hold = await ledger.hold([Claim("ns/day", "", 900)])
    assert isinstance(hold, Hold)
    ledger.record(run_of(ledger, "r1", ledger.settle(hold, [900])))
    shortage = await ledger.hold([Claim("ns/day", "", 101)])
    assert shortage == Shortage(
        budget="ns/day",
        subject="",
        unit="usd",
        reason="exhausted",
        needed=101,
        limit=1000,
        remaining=100,
        affordable=100,
        window_end=0,
    )

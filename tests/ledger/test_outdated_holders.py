"""What was taken away reaches every holder with its draws: an older snapshot draws nothing more."""

import asyncio
from collections.abc import Callable

import pytest

from signalbox_ledger import protocol
from signalbox_ledger.asking import connected, require_generation
from signalbox_ledger.client import Claim, Hold
from support.ledgers import budget
from support.timing import at_most

SPEC = budget(limit=10**6)
ONE = [Claim(SPEC.id, "", 1)]


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(at_most(within_s)):
        while not condition():
            await asyncio.sleep(0.005)


def drawn(slice_id: str) -> protocol.Draw:
    return protocol.Draw([protocol.DrawItem(slice_id, SPEC.id, "", [1], 0, 0, SPEC.basis)])


async def test_a_holder_of_an_older_snapshot_draws_nothing(authority) -> None:
    async with connected(authority.socket) as old, connected(authority.socket) as new:
        await old(protocol.Hello("old", "old-1"))
        await old(protocol.Configure(4, [SPEC]))
        assert isinstance(await old(drawn("a")), protocol.Drawn)
        await new(protocol.Hello("new", "new-1"))
        await new(protocol.Configure(5, [SPEC]))
        assert await new(protocol.RequireGeneration(5)) == protocol.Required(5)
        assert await old(drawn("b")) == protocol.Outdated(5)
        served = await new(drawn("c"))
        assert isinstance(served, protocol.Drawn)
        assert (served.grants[0].amount > 0, served.min_generation) == (True, 5)


async def test_a_holder_that_catches_up_draws_again(authority) -> None:
    async with connected(authority.socket) as ask:
        await ask(protocol.Hello("p", "p-1"))
        await ask(protocol.Configure(4, [SPEC]))
        await ask(protocol.RequireGeneration(5))
        assert await ask(drawn("a")) == protocol.Outdated(5)
        await ask(protocol.Configure(5, [SPEC]))
        assert isinstance(await ask(drawn("a")), protocol.Drawn)


async def test_a_holder_that_was_never_configured_is_outdated_too(authority) -> None:
    await require_generation(authority.socket, 1)
    async with connected(authority.socket) as ask:
        await ask(protocol.Hello("p", "p-1"))
        assert await ask(drawn("a")) == protocol.Outdated(1)


async def test_the_highest_wins_and_a_restart_forgets_nothing(authority) -> None:
    await require_generation(authority.socket, 9)
    await require_generation(authority.socket, 3)
    authority.kill()
    authority.start()
    async with connected(authority.socket) as ask:
        welcome = await ask(protocol.Hello("p", "p-1"))
        assert isinstance(welcome, protocol.Welcome)
        assert welcome.min_generation == 9
        polled = await ask(protocol.Poll())
        assert isinstance(polled, protocol.Polled)
        assert polled.min_generation == 9


async def test_an_outdated_holder_settles_and_returns_all_the_same(authority) -> None:
    """It owes that: refusing it would lose what it spent."""
    async with connected(authority.socket) as ask:
        await ask(protocol.Hello("p", "p-1"))
        await ask(protocol.Configure(1, [SPEC]))
        await ask(drawn("a"))
        await ask(protocol.RequireGeneration(2))
        back = protocol.Return([protocol.ReturnItem("a", 0, close=True)])
        assert await ask(back) == protocol.Done()
        assert await ask(protocol.Finish("p-1")) == protocol.Done()


@pytest.mark.parametrize("busy", [True, False], ids=["with slices", "idle"])
async def test_a_proxy_hears_of_it_while_it_serves_and_while_it_is_idle(
    open_ledger, authority, busy: bool
) -> None:
    ledger = await open_ledger("a")
    await ledger.configure(4, [SPEC])
    if busy:
        assert isinstance(await ledger.hold(ONE), Hold)
    await require_generation(authority.socket, 5)
    await until(lambda: ledger.min_generation == 5)


async def test_a_proxy_that_was_away_hears_of_it_when_it_comes_back(open_ledger, authority) -> None:
    ledger = await open_ledger("a")
    authority.kill()
    authority.start()
    await require_generation(authority.socket, 7)
    await until(lambda: ledger.min_generation == 7)


async def test_what_a_proxy_has_to_tell_it_tells_when_the_authority_comes_back(
    open_ledger, authority
) -> None:
    teller, hearer = await open_ledger("a"), await open_ledger("b")
    await teller.configure(3, [SPEC])
    authority.kill()
    await until(lambda: not teller._connection.is_up)
    await teller.require_generation(3)
    assert teller.min_generation == 3
    authority.start()
    await until(lambda: hearer.min_generation == 3)


async def test_a_proxy_knows_which_budgets_the_ledger_has(open_ledger) -> None:
    """Also one that began anew: the ledger takes no budgets of a generation before."""
    first = await open_ledger("a")
    assert first.ledger_generation == 0
    await first.configure(4, [SPEC])
    assert first.ledger_generation == 4
    anew = await open_ledger("b")
    await until(lambda: anew.ledger_generation == 4)
    await anew.configure(1, [SPEC])
    assert (anew.generation, anew.ledger_generation) == (1, 4)

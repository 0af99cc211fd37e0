"""Proxies that a release did not reach get the head: one first, then the others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from signalbox_operator import fleet_view
from signalbox_operator.control_port import ControlPort, ProxyAddress, push_limit_s
from signalbox_operator.fleet_view import FleetUnknownError, FleetView
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.ledger_port import LedgerPort
from signalbox_operator.publish import Publisher
from support.control_ports import KEY, TOKEN, FleetProxy, listening
from support.whole_snapshot import whole_snapshot


class Fleet:
    """Three proxies, a head that reached none of them, and the view that is tried."""

    def __init__(self, proxies: list[FleetProxy], control: ControlPort, publisher: Publisher):
        self.proxies = proxies
        self.publisher = publisher
        self.woken = 0
        self.gone: set[str] = set()
        self.view = FleetView(control, self._discover, self._wake)

    async def _discover(self) -> tuple[ProxyAddress, ...]:
        return tuple(each.address for each in self.proxies if each.name not in self.gone)

    def _wake(self) -> None:
        self.woken += 1

    @property
    def generations(self) -> list[list[int]]:
        return [proxy.generations for proxy in self.proxies]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with listening(3) as proxies, aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        publisher = Publisher(FileHeadStore(tmp_path / "head.json"), KEY, control, fleet="prod")
        made = Fleet(proxies, control, publisher)
        await publisher.release(whole_snapshot(), ())
        made.view.take(await publisher.head())
        yield made


async def test_one_gets_it_first_and_the_others_once_it_runs_there(fleet: Fleet) -> None:
    await fleet.view.look()
    assert fleet.generations == [[1], [], []]
    await fleet.view.look()
    assert fleet.generations == [[1], [1], [1]]
    await fleet.view.look()
    assert fleet.generations == [[1], [1], [1]]


async def test_two_refusals_stop_it_and_those_that_refused_are_asked_again_later(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.proxies[0].refuses = fleet.proxies[1].refuses = "it is not for me"
    for _ in range(4):
        await fleet.view.look()
    assert fleet.proxies[0].log == ["proxy-0", "proxy-1"]
    refused = fleet.view.facts().proxies[0].rejection
    assert refused is not None
    assert refused.reason == "it is not for me"
    monkeypatch.setattr(fleet_view, "AGAIN_S", 0.0)
    fleet.proxies[0].refuses = fleet.proxies[1].refuses = ""
    await fleet.view.look()
    await fleet.view.look()
    assert fleet.generations == [[1], [1], [1]]


async def test_one_that_refuses_keeps_it_from_nobody_else(fleet: Fleet) -> None:
    fleet.proxies[0].refuses = "it is not for me"
    for _ in range(3):
        await fleet.view.look()
    assert fleet.generations == [[], [1], [1]]


async def test_full_disks_keep_it_from_nobody_else_and_are_left_alone_for_a_while(
    fleet: Fleet,
) -> None:
    for proxy in fleet.proxies[:2]:
        proxy.refuses, proxy.verdict = "cannot be kept on disk", 507
    for _ in range(5):
        await fleet.view.look()
    assert fleet.generations == [[], [], [1]]
    assert fleet.proxies[0].log == ["proxy-0", "proxy-1", "proxy-2"]
    told = fleet.view.facts().proxies[0].rejection
    assert told is not None
    assert told.reason == "cannot be kept on disk"


async def test_while_a_release_is_under_way_nothing_is_handed_over(fleet: Fleet) -> None:
    fleet.view.releasing()
    await fleet.view.look()
    assert fleet.generations == [[], [], []]
    fleet.view.released(None)
    await fleet.view.look()
    assert fleet.generations == [[1], [], []]


async def test_a_newcomer_gets_it_at_once(fleet: Fleet) -> None:
    fleet.gone = {"proxy-2"}
    await fleet.view.look()
    await fleet.view.look()
    fleet.gone = set()
    await fleet.view.look()
    assert fleet.generations == [[1], [1], [1]]
    assert fleet.woken >= 3


async def test_a_generation_above_the_head_is_told(fleet: Fleet) -> None:
    fleet.proxies[1].generations.append(9)
    await fleet.view.look()
    assert fleet.view.ahead() == 9


async def test_other_content_as_the_head_s_own_generation_is_above_it(fleet: Fleet) -> None:
    """The proxy refuses the head for good, and another release of that generation."""
    fleet.proxies[1].generations.append(1)
    fleet.proxies[1].version = "0" * 64
    await fleet.view.look()
    above = fleet.view.ahead()
    assert above > 1
    rollout = await fleet.publisher.release(
        whole_snapshot(), fleet.view.releasing(), anew=True, above=above
    )
    fleet.view.released(rollout)
    assert rollout.head.envelope.min_generation == rollout.head.generation
    await fleet.view.look()
    assert fleet.view.ahead() == 0


async def test_who_runs_the_head_is_not_above_it(fleet: Fleet) -> None:
    for _ in range(3):
        await fleet.view.look()
    assert [proxy.generations for proxy in fleet.proxies] == [[1], [1], [1]]
    assert fleet.view.ahead() == 0


async def test_what_is_above_the_head_counts_while_its_proxy_does_not_answer(fleet: Fleet) -> None:
    fleet.proxies[1].generations.append(9)
    await fleet.view.look()
    fleet.proxies[1].url = "http://127.0.0.1:1"
    await fleet.view.look()
    assert fleet.view.ahead() == 9


async def test_who_begins_waits_for_proxies_that_take_their_time(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop over proxies has asked them before, and waits no more; one is gone for good."""
    monkeypatch.setattr(fleet_view, "ANSWERS_S", 0.05)
    fleet.proxies[0].url = "http://127.0.0.1:1"
    fleet.proxies[1].generations.append(9)
    slow = fleet.proxies[1].hangs = asyncio.Event()
    await fleet.view.look()
    hearing = asyncio.create_task(fleet.view.hear())
    await fleet.view.look()
    assert not hearing.done()
    assert fleet.view.ahead() == 0
    slow.set()
    await hearing
    assert fleet.view.ahead() == 9


async def test_who_begins_is_told_that_proxies_cannot_be_listed(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def discover() -> tuple[ProxyAddress, ...]:
        raise OSError("EndpointSlices time out")

    monkeypatch.setattr(fleet.view, "_discover", discover)
    with pytest.raises(FleetUnknownError, match="cannot be listed: OSError: EndpointSlices"):
        await fleet.view.hear()


@pytest.mark.parametrize(
    ("told", "above"),
    [
        ({"generation": 7, "min_generation": 0}, 7),
        ({"generation": 7, "min_generation": 8}, 8),
        ({"generation": 1, "min_generation": 1}, 0),
    ],
)
async def test_a_ledger_that_remembers_more_than_the_head_is_heard(
    fleet: Fleet, told: dict[str, int], above: int
) -> None:
    """A new cluster on an old database: the proxies know nothing, and the ledger takes nothing."""
    fleet.proxies[2].ledger = told
    await fleet.view.look()
    assert fleet.view.ahead() == above


async def test_the_next_release_continues_above_what_the_ledger_remembers(fleet: Fleet) -> None:
    for proxy in fleet.proxies:
        proxy.ledger = {"generation": 7, "min_generation": 4}
    await fleet.view.look()
    above = fleet.view.ahead()
    rollout = await fleet.publisher.release(
        whole_snapshot(), fleet.view.releasing(), anew=True, above=above
    )
    fleet.view.released(rollout)
    assert (rollout.head.generation, rollout.head.envelope.min_generation) == (8, 8)
    await fleet.view.look()
    assert fleet.view.ahead() == 0
    assert [proxy.generations[-1] for proxy in fleet.proxies] == [8, 8, 8]


async def test_who_does_not_answer_is_of_the_release_that_it_was(fleet: Fleet) -> None:
    """Otherwise a proxy that restarts would be sent what it cannot read."""
    fleet.proxies[2].schemas = (1,)
    await fleet.view.look()
    assert sorted(max(each.schemas) for each in fleet.view.heard) == [1, 2, 2]
    fleet.proxies[2].url = "http://127.0.0.1:1"
    await fleet.view.look()
    assert sorted(max(each.schemas) for each in fleet.view.heard) == [1, 2, 2]
    fleet.gone = {"proxy-2"}
    await fleet.view.look()
    assert [max(each.schemas) for each in fleet.view.heard] == [2, 2]


async def test_a_proxy_that_hangs_keeps_neither_a_look_nor_a_release_waiting(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered before and is asked first: its connection is open and nothing comes back."""
    monkeypatch.setattr(fleet_view, "ANSWERS_S", 0.2)
    await fleet.view.look()
    await fleet.view.look()
    assert fleet.generations == [[1], [1], [1]]
    fleet.proxies[0].hangs = asyncio.Event()
    await fleet.view.look()
    assert [each.generation for each in fleet.view.facts().proxies] == [1, 1, 1]
    rollout = await fleet.publisher.release(whole_snapshot(), fleet.view.releasing(), anew=True)
    fleet.view.released(rollout)
    assert [each.proxy for each in rollout.outcomes] == ["proxy-1", "proxy-2"]
    for _ in range(3):
        await fleet.view.look()
    assert fleet.generations == [[1], [1, 2], [1, 2]]
    assert fleet.proxies[0].asked == 1, "one question is enough for one that owes an answer"
    fleet.proxies[0].hangs.set()
    fleet.proxies[0].hangs = None
    while fleet.generations[0] != [1, 2]:
        await fleet.view.look()


async def test_two_that_look_at_once_both_wait_for_what_proxies_say(fleet: Fleet) -> None:
    """The loop looks as it begins, whatever the loop over proxies does just then."""
    fleet.proxies[1].ledger = {"generation": 9, "min_generation": 9}
    seen: list[int] = []

    async def looking() -> None:
        await fleet.view.look()
        seen.append(fleet.view.ahead())

    await asyncio.gather(looking(), looking())
    assert seen == [9, 9]


async def test_where_no_proxy_answers_a_release_tries_all_of_them(fleet: Fleet) -> None:
    assert fleet.view.releasing() == ()
    for proxy in fleet.proxies:
        proxy.url = "http://127.0.0.1:1"
    await fleet.view.look()
    assert [each.name for each in fleet.view.releasing()] == ["proxy-0", "proxy-1", "proxy-2"]


def test_a_large_snapshot_has_longer_to_be_taken_and_none_has_for_ever() -> None:
    sizes = [1_000, 4_000_000, 10**9]
    assert [round(push_limit_s(size)) for size in sizes] == [3, 5, 30]


async def test_a_proxy_that_hangs_does_not_keep_the_ledger_from_being_heard(fleet: Fleet) -> None:
    """It told of the ledger last, so that it is asked first; the others tell meanwhile."""
    ledger = LedgerPort()
    addresses = [each.address for each in fleet.proxies]
    control = fleet.view.control
    assert await ledger.holders(control, addresses) == ()
    fleet.proxies[0].hangs = asyncio.Event()
    assert await ledger.holders(control, addresses) == ()
    assert [each.told for each in fleet.proxies] == [1, 1, 0]
    assert await ledger.holders(control, addresses) == ()
    assert [each.told for each in fleet.proxies] == [1, 2, 0]
    fleet.proxies[0].hangs.set()

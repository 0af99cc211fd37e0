"""Releasing: generations only grow, one proxy goes first, a rejection stops the rest.

The proxies here are real HTTP servers that open envelopes as the contract says; each keeps what
it was sent and can be told to refuse.
"""

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from signalbox_operator.control_port import (
    Accepted,
    ControlPort,
    ProxyAddress,
    ProxyStatus,
    Rejected,
    Unreachable,
)
from signalbox_operator.head import Head, HeadError, HeadMovedError
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.publish import Publisher
from signalbox_snapshot import codec, envelope
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.check import SnapshotError
from support.control_ports import KEY, TOKEN, FleetProxy, listening
from support.whole_snapshot import whole_snapshot


@pytest.fixture
async def proxies() -> AsyncIterator[list[FleetProxy]]:
    async with listening(3) as fleet:
        yield fleet


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Publisher]:
    async with aiohttp.ClientSession() as session:
        store = FileHeadStore(tmp_path / "head.json")
        yield Publisher(store, KEY, ControlPort(session, TOKEN), fleet="prod")


def changed(limit: int) -> wire.Snapshot:
    whole = whole_snapshot()
    budget = msgspec.structs.replace(whole.budgets[0], limit=limit)
    return msgspec.structs.replace(whole, budgets=[budget])


def addresses(proxies: list[FleetProxy]) -> list[ProxyAddress]:
    return [proxy.address for proxy in proxies]


async def test_a_release_reaches_every_proxy_one_of_them_first(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    rollout = await publisher.release(changed(1), addresses(proxies))
    assert rollout.changed
    assert rollout.head.generation == 1
    assert rollout.outcomes == tuple(Accepted(proxy.name, 1) for proxy in proxies)
    assert proxies[0].log[0] == "proxy-0"
    assert sorted(proxies[0].log) == ["proxy-0", "proxy-1", "proxy-2"]


async def test_an_equal_snapshot_is_not_released_again(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    await publisher.release(changed(1), addresses(proxies))
    again = await publisher.release(changed(1), addresses(proxies))
    assert (again.changed, again.head.generation, again.outcomes) == (False, 1, ())
    assert proxies[0].generations == [1]


async def test_generations_only_grow_even_back_to_old_content(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    for limit in (1, 2, 1):
        await publisher.release(changed(limit), addresses(proxies))
    assert proxies[2].generations == [1, 2, 3]


async def test_two_rejections_stop_the_rollout_and_are_told(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    proxies[0].refuses = proxies[1].refuses = "names x, which is not in the snapshot"
    rollout = await publisher.release(changed(1), addresses(proxies))
    assert rollout.rejections == tuple(
        Rejected(name, "names x, which is not in the snapshot", "$.snapshot.agents")
        for name in ("proxy-0", "proxy-1")
    )
    assert rollout.pending == ("proxy-2",)
    assert proxies[0].log == ["proxy-0", "proxy-1"]


async def test_what_one_proxy_refuses_and_another_accepts_goes_on(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    """A single proxy at fault must not keep a revocation from the others."""
    proxies[0].refuses = "no"
    rollout = await publisher.release(changed(1), addresses(proxies))
    assert [item.proxy for item in rollout.rejections] == ["proxy-0"]
    assert [proxy.generations for proxy in proxies] == [[], [1], [1]]


async def test_full_disks_stop_nobody_and_are_told(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    for proxy in proxies[:2]:
        proxy.refuses, proxy.verdict = "cannot be kept on disk", 507
    rollout = await publisher.release(changed(1), addresses(proxies))
    assert rollout.rejections == ()
    assert [each.proxy for each in rollout.refusals] == ["proxy-0", "proxy-1"]
    assert proxies[2].generations == [1]


async def test_a_rejection_after_the_first_is_told_too(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    proxies[2].refuses = "no"
    rollout = await publisher.release(changed(1), addresses(proxies))
    assert [item.proxy for item in rollout.rejections] == ["proxy-2"]
    assert proxies[1].generations == [1]


async def test_an_unreachable_proxy_holds_nobody_up_and_can_be_tried_again(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    dead = ProxyAddress("proxy-dead", "http://127.0.0.1:1")
    rollout = await publisher.release(changed(1), [dead, *addresses(proxies)])
    assert [item.proxy for item in rollout.unreachable] == ["proxy-dead"]
    assert [proxy.generations for proxy in proxies] == [[1], [1], [1]]
    assert isinstance(await publisher.push_to(dead), Unreachable)
    assert await publisher.push_to(proxies[0].address) == Accepted("proxy-0", 1)


async def test_before_the_first_release_there_is_nothing_to_push(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    assert await publisher.head() is None
    assert await publisher.push_to(proxies[0].address) is None


async def test_a_snapshot_that_no_proxy_would_accept_changes_nothing(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    broken = msgspec.structs.replace(whole_snapshot(), domains=[])
    with pytest.raises(SnapshotError):
        await publisher.release(broken, addresses(proxies))
    assert await publisher.head() is None
    assert proxies[0].log == []


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401},
        {"status": 500, "text": "no"},
        {"status": 200, "text": "{}"},
        {"status": 200, "body": b"\xff" * 200_000},
    ],
    ids=["unauthorized", "broken", "no verdict", "huge"],
)
async def test_an_answer_that_is_no_verdict_is_no_acceptance(
    publisher: Publisher, proxies: list[FleetProxy], answer: dict[str, object]
) -> None:
    proxies[0].answer = web.Response(**answer)  # type: ignore[arg-type]
    rollout = await publisher.release(changed(1), addresses(proxies[:1]))
    assert [type(item) for item in rollout.outcomes] == [Unreachable]


async def test_a_redirect_is_never_followed(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    """A snapshot goes where the fleet says, not where an answer says."""
    elsewhere = f"{proxies[1].url}/control/v1/snapshot"
    proxies[0].answer = web.Response(status=307, headers={"Location": elsewhere})
    rollout = await publisher.release(changed(1), addresses(proxies[:1]))
    assert [type(item) for item in rollout.outcomes] == [Unreachable]
    assert proxies[0].log == ["proxy-0"]


async def test_the_status_of_a_proxy_is_read(
    publisher: Publisher, proxies: list[FleetProxy]
) -> None:
    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        before = await control.status_of(proxies[0].address)
        await publisher.release(changed(1), addresses(proxies))
        after = await control.status_of(proxies[0].address)
    version = codec.version(codec.encode(changed(1)))
    schemas = codec.ACCEPTED_SCHEMAS
    heard = ProxyStatus(name="proxy-0", ready=False, holder="h", schemas=schemas)
    assert before == heard
    assert after == msgspec.structs.replace(heard, ready=True, generation=1, version=version)


async def test_the_token_shows_nowhere(proxies: list[FleetProxy]) -> None:
    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        failed = await control.push_to(ProxyAddress("p", "http://127.0.0.1:1"), b"{}")
        assert TOKEN not in f"{control!r} {failed!r}"


def test_a_head_is_swapped_only_from_the_generation_that_was_read(tmp_path: Path) -> None:
    store = FileHeadStore(tmp_path / "head.json")
    payload = codec.encode(whole_snapshot())
    first = envelope.seal(KEY, fleet="prod", generation=1, payload=payload)
    second = envelope.seal(KEY, fleet="prod", generation=2, payload=payload)
    assert store.swap_file(0, Head.of(first)).generation == 1
    with pytest.raises(HeadMovedError):
        store.swap_file(0, Head.of(first))
    store.swap_file(1, Head.of(second))
    head = store.read_file()
    assert head is not None
    assert (head.generation, head.envelope) == (2, second)


def test_the_head_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    store = FileHeadStore(tmp_path / "head.json")
    payload = codec.encode(whole_snapshot())
    store.swap_file(0, Head.of(envelope.seal(KEY, fleet="f", generation=1, payload=payload)))
    assert (tmp_path / "head.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"generation":1}'])
def test_a_damaged_head_is_an_error_and_never_a_fresh_start(tmp_path: Path, damage: bytes) -> None:
    """A second generation 1 would be refused by every proxy of the fleet."""
    path = tmp_path / "head.json"
    path.write_bytes(damage)
    with pytest.raises(HeadError, match="damaged"):
        FileHeadStore(path).read_file()


def test_a_head_whose_snapshot_was_edited_is_damaged(tmp_path: Path) -> None:
    store = FileHeadStore(tmp_path / "head.json")
    payload = codec.encode(whole_snapshot())
    store.swap_file(0, Head.of(envelope.seal(KEY, fleet="f", generation=1, payload=payload)))
    path = tmp_path / "head.json"
    path.write_bytes(path.read_bytes().replace(b"advisor", b"adviser"))
    with pytest.raises(HeadError):
        store.read_file()


def test_of_many_control_planes_that_release_at_once_one_wins(tmp_path: Path) -> None:
    """Each has its own open file, as processes have: flock(2) tells them apart all the same."""
    payload = codec.encode(whole_snapshot())
    sealed = envelope.seal(KEY, fleet="f", generation=1, payload=payload)
    start = threading.Barrier(8, timeout=30)

    def race(_: int) -> bool:
        start.wait()
        try:
            FileHeadStore(tmp_path / "head.json").swap_file(0, Head.of(sealed))
        except HeadMovedError:
            return False
        return True

    with ThreadPoolExecutor(8) as racers:
        assert sum(racers.map(race, range(8))) == 1

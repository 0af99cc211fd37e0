"""One pass of the loop after the other, without a cluster: what is released, held, and told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from signalbox_api import KINDS
from signalbox_operator import fleet_view, reconcile
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.fleet_view import FleetUnknownError, FleetView
from signalbox_operator.head import HeadError, HeadMovedError
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.inventory import Inventory
from signalbox_operator.listing import Listing
from signalbox_operator.passes import STUCK_AFTER
from signalbox_operator.publish import Publisher
from signalbox_operator.reconcile import Reconciler
from signalbox_operator.reporter import Report
from support.control_ports import KEY, TOKEN, FleetProxy, listening


class Kept:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    async def report(self, report: Report) -> None:
        self.reports.append(report)


class Holds:
    """Holds that outlive a loop."""

    place = "ConfigMap platform/prod-holds"

    def __init__(self) -> None:
        self.data: bytes | None = None

    async def read(self) -> bytes | None:
        return self.data

    async def keep(self, data: bytes) -> None:
        self.data = data


class Loop:
    """A loop whose lists give what stands in `objects`."""

    def __init__(
        self, publisher: Publisher, control: ControlPort, holds: Holds | None = None
    ) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.proxies: list[FleetProxy] = []
        self.unlisted: Exception | None = None
        self.inventory = Inventory()
        self.publisher = publisher
        self.kept = Kept()
        self.made = Reconciler(
            inventory=self.inventory,
            publisher=publisher,
            fleet=FleetView(control, self._listed, lambda: None),
            reporter=self.kept,
            platform_namespace="platform",
            fleet_name="prod",
            relist=self.relist,
            fetch=publisher.fetch,
            holds=holds,
        )

    async def _listed(self) -> tuple[ProxyAddress, ...]:
        if self.unlisted is not None:
            raise self.unlisted
        return tuple(each.address for each in self.proxies)

    async def relist(self) -> None:
        for kind in KINDS:
            self.list(kind)

    def list(self, kind: str) -> None:
        self.inventory.listed(kind, Listing(tuple(self.objects.get(kind, [])), "99"))


def domain(name: str, version: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": "Domain",
        "metadata": {"name": name, "namespace": "platform", "resourceVersion": str(version)},
        "spec": {"ownerTeam": "t", "focusAccount": "1"},
    }


@pytest.fixture
async def loop(tmp_path: Path) -> AsyncIterator[Loop]:
    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        store = FileHeadStore(tmp_path / "head.json")
        yield Loop(Publisher(store, KEY, control, fleet="prod"), control)


async def test_nothing_is_compiled_before_every_kind_was_listed(loop: Loop) -> None:
    loop.objects["Domain"] = [domain("retail")]
    for kind in list(KINDS)[:-1]:
        loop.list(kind)
        await loop.made.one_pass()
        assert loop.kept.reports == []
        assert await loop.publisher.head() is None
    loop.list(list(KINDS)[-1])
    await loop.made.one_pass()
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 1


async def test_nothing_new_releases_nothing(loop: Loop) -> None:
    await loop.relist()
    for _ in range(3):
        await loop.made.one_pass()
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 1
    assert len(loop.kept.reports) == 3


async def test_nothing_is_released_before_slow_proxies_told_what_they_run(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is of yesterday, and its next generation is given already."""
    monkeypatch.setattr(fleet_view, "ANSWERS_S", 0.05)
    loop.objects["Domain"] = [domain("retail")]
    await loop.relist()
    async with listening(2) as loop.proxies:
        for proxy in loop.proxies:
            proxy.generations.append(8)
            proxy.hangs = asyncio.Event()
        await loop.made.fleet.look()
        one_pass = asyncio.create_task(loop.made.one_pass())
        await loop.made.fleet.look()
        for proxy in loop.proxies:
            assert proxy.hangs is not None
            proxy.hangs.set()
        await one_pass
        head = await loop.publisher.head()
        assert head is not None
        assert head.generation == 9


async def test_nothing_is_released_while_proxies_cannot_be_listed(loop: Loop) -> None:
    loop.objects["Domain"] = [domain("retail")]
    await loop.relist()
    loop.unlisted = OSError("EndpointSlices time out")
    with pytest.raises(FleetUnknownError, match="EndpointSlices time out"):
        await loop.made.one_pass()
    assert await loop.publisher.head() is None
    async with listening(1) as loop.proxies:
        loop.proxies[0].generations.append(8)
        loop.unlisted = None
        await loop.made.one_pass()
        head = await loop.publisher.head()
        assert head is not None
        assert head.generation == 9


async def test_a_loss_is_held_told_and_let_go_when_it_is_confirmed(loop: Loop) -> None:
    loop.objects["Domain"] = [domain(f"d{number}") for number in range(8)]
    await loop.relist()
    await loop.made.one_pass()
    loop.objects["Domain"] = loop.objects["Domain"][:2]
    await loop.relist()
    await loop.made.one_pass()
    (held,) = loop.kept.reports[-1].held
    assert "6 Domains are gone at once" in held
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 1
    loop.made.wishes.confirmed_loss = held.partition("confirm-loss=")[2].split()[0]
    await loop.made.one_pass()
    assert loop.kept.reports[-1].held == ()
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 2


async def begun_while_held(before: Loop, holds: Holds) -> Loop:
    """The next loop, where one before held the loss of six of eight Domains."""
    first, begun = (Loop(before.publisher, before.made.fleet.control, holds) for _ in range(2))
    for count in (8, 2):
        first.objects["Domain"] = [domain(f"d{number}") for number in range(count)]
        await first.relist()
        await first.made.one_pass()
    assert holds.data is not None
    begun.objects = first.objects
    await begun.relist()
    return begun


async def told(loop: Loop, text: str) -> str:
    """Runs until the problem of the last report says this."""
    running = asyncio.create_task(loop.made.run())
    try:
        async with asyncio.timeout(60):
            while not loop.kept.reports or text not in loop.kept.reports[-1].problem:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return loop.kept.reports[-1].problem


async def released(publisher: Publisher) -> int:
    head = await publisher.refresh()
    return head.generation if head is not None else 0


async def test_what_was_held_is_not_let_go_where_the_head_is_lost_before_that_is_confirmed(
    loop: Loop, tmp_path: Path
) -> None:
    holds = Holds()
    begun = await begun_while_held(loop, holds)
    kept = holds.data
    (tmp_path / "head.json").unlink()
    problem = await told(begun, "6 objects are gone and held")
    assert await released(loop.publisher) == 0
    assert holds.data == kept
    begun.made.wishes.confirmed_loss = problem.partition("confirm-loss=")[2].split()[0]
    await begun.made.one_pass()
    assert await released(loop.publisher) == 1
    assert begun.kept.reports[-1].problem == ""


async def test_what_was_held_goes_on_being_held_once_its_forms_are_back(
    loop: Loop,
) -> None:
    async def gone(names: Sequence[str]) -> bytes:
        raise HeadError("ConfigMap prod-chunk-1 is gone")

    begun = await begun_while_held(loop, Holds())
    begun.made.fetch = gone
    await told(begun, "6 objects are gone and held")
    assert await released(loop.publisher) == 1
    begun.made.fetch = loop.publisher.fetch
    await begun.made.one_pass()
    (held,) = begun.kept.reports[-1].held
    assert "6 Domains are gone at once" in held
    assert await released(loop.publisher) == 1


async def test_holds_that_are_damaged_are_not_no_holds(loop: Loop) -> None:
    """Five of six came back: only who remembers the hold holds the sixth."""
    holds = Holds()
    begun = await begun_while_held(loop, holds)
    begun.objects["Domain"] = [domain(f"d{number}", 2) for number in range(7)]
    holds.data = b"?"
    await told(begun, "ConfigMap platform/prod-holds: what is kept of them is damaged")
    assert await released(loop.publisher) == 1
    assert holds.data == b"?"
    holds.data = None
    await begun.made.one_pass()
    assert begun.kept.reports[-1].problem == ""
    assert await released(loop.publisher) == 2


async def test_a_loss_is_held_while_finalizers_keep_what_was_deleted(loop: Loop) -> None:
    """A prune that deletes in the foreground leaves every object there for a while."""
    loop.objects["Domain"] = [domain(f"d{number}") for number in range(8)]
    await loop.relist()
    await loop.made.one_pass()
    for item in (domain(f"d{number}", 2) for number in range(6)):
        item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        loop.inventory.event("Domain", "MODIFIED", item)
    await loop.made.one_pass()
    (held,) = loop.kept.reports[-1].held
    assert "6 Domains are gone at once" in held
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 1


async def test_a_budget_that_went_first_is_enforced_again_while_what_it_bound_is_held(
    loop: Loop,
) -> None:
    loop.objects["Domain"] = [domain(f"d{number}") for number in range(8)]
    loop.objects["Budget"] = [
        {
            "apiVersion": "signalbox.dev/v1alpha1",
            "kind": "Budget",
            "metadata": {"name": "day", "namespace": "platform", "resourceVersion": "1"},
            "spec": {"scope": {"all": True}, "limit": {"usd": "5"}, "window": {"every": "day"}},
        }
    ]
    await loop.relist()
    enforced = []
    for gone in (None, "Budget", "Domain", None):
        if gone is not None:
            loop.objects[gone] = loop.objects[gone][6:]
            await loop.relist()
        await loop.made.one_pass()
        snapshot = loop.kept.reports[-1].compilation.snapshot
        enforced.append((len(snapshot.domains), len(snapshot.budgets)))
    assert enforced == [(8, 1), (8, 0), (8, 1), (8, 1)]
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 3


async def test_over_what_somebody_else_released_nothing_old_is_released(
    loop: Loop, tmp_path: Path
) -> None:
    """An operator that slept compiled what stood before."""
    loop.objects["Domain"] = [domain("retail")]
    await loop.relist()
    await loop.made.one_pass()
    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        store = FileHeadStore(tmp_path / "head.json")
        other = Loop(Publisher(store, KEY, control, fleet="prod"), control)
        other.objects["Domain"] = [domain("retail"), domain("wealth", 2)]
        await other.relist()
        await other.made.one_pass()
    loop.inventory.event("Domain", "ADDED", domain("seen-while-asleep", 3))
    with pytest.raises(HeadMovedError):
        await loop.made.one_pass()
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 2


async def test_a_step_that_fails_is_told_and_tried_again(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "RETRY_S", 0.0)
    failing = [*(OSError("the API server is away"),) * 2, ValueError("nonsense")]
    kept = loop.kept.report

    async def report(told: Report) -> None:
        if failing:
            raise failing.pop()
        await kept(told)

    monkeypatch.setattr(loop.kept, "report", report)
    await loop.relist()
    assert loop.made.lacks == "nothing was compiled yet"
    running = asyncio.create_task(loop.made.run())
    async with asyncio.timeout(60):
        while loop.made.lacks:
            await asyncio.sleep(0.01)
    assert not running.done()
    assert loop.kept.reports
    assert failing == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_release_that_fails_is_told_and_ends_readiness_when_it_goes_on_failing(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses after a first success: nothing that is applied has any effect then."""
    monkeypatch.setattr(reconcile, "RETRY_S", 0.0)
    loop.objects["Domain"] = [domain("retail")]
    await loop.relist()
    await loop.made.one_pass()
    keep = FileHeadStore.keep

    async def refuse(*_: object) -> None:
        raise OSError("exceeded quota: configmaps")

    monkeypatch.setattr(FileHeadStore, "keep", refuse)
    loop.inventory.event("Domain", "ADDED", domain("wealth", 100))
    running = asyncio.create_task(loop.made.run())
    async with asyncio.timeout(60):
        while loop.made.passes.failed < STUCK_AFTER:
            assert loop.made.lacks == ""
            await asyncio.sleep(0)
        assert "exceeded quota: configmaps" in loop.made.lacks
        assert "exceeded quota: configmaps" in loop.kept.reports[-1].problem
        assert len(loop.kept.reports[-1].objects) == 2
        monkeypatch.setattr(FileHeadStore, "keep", keep)
        while loop.made.lacks:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert loop.kept.reports[-1].problem == ""
    assert loop.made.passes.failed >= STUCK_AFTER


async def test_one_pass_that_fails_is_told_to_nobody_and_the_second_in_a_row_is(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "RETRY_S", 0.0)
    await loop.relist()
    await loop.made.one_pass()
    keep, left = FileHeadStore.keep, [1]

    async def refuse(store: FileHeadStore, *given: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError("etcdserver: leader changed")
        await keep(store, *given)

    monkeypatch.setattr(FileHeadStore, "keep", refuse)
    for number, (failures, told) in enumerate(((1, False), (2, True))):
        left[0], before = failures, len(loop.kept.reports)
        succeeded = loop.made.passes.succeeded
        loop.inventory.event("Domain", "ADDED", domain(f"d{number}", 100 + number))
        running = asyncio.create_task(loop.made.run())
        async with asyncio.timeout(60):
            while loop.made.passes.succeeded == succeeded:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        problems = [report.problem for report in loop.kept.reports[before:]]
        assert any("leader changed" in problem for problem in problems) is told
        assert problems[-1] == ""


async def test_a_snapshot_that_cannot_be_released_once_is_told_at_the_second_time(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await loop.relist()

    async def refuse(*_: object, **__: object) -> None:
        raise HeadError("ConfigMap prod-head is damaged")

    monkeypatch.setattr(Publisher, "release", refuse)
    for told in ("", "the snapshot cannot be released: ConfigMap prod-head is damaged"):
        await loop.made.one_pass()
        assert loop.kept.reports[-1].problem == told


async def test_a_rollback_that_cannot_be_is_told_as_such_while_everything_is_released(
    loop: Loop,
) -> None:
    loop.made.wishes.rollback = "no request"
    await loop.relist()
    for _ in range(3):
        await loop.made.one_pass()
        report = loop.kept.reports[-1]
        assert report.problem == ""
        assert "is no request to go back" in report.rollback_problem
        assert report.head is not None
        assert report.head.version == report.version
    loop.made.wishes.rollback = ""
    await loop.made.one_pass()
    assert loop.kept.reports[-1].rollback_problem == ""


async def test_the_history_names_the_tool_that_wrote_an_object_last(loop: Loop) -> None:
    await loop.relist()
    await loop.made.one_pass()
    written = domain("retail", 100)
    written["metadata"]["managedFields"] = [{"manager": "argocd", "time": "2026-01-01T00:00:00Z"}]
    loop.inventory.event("Domain", "ADDED", written)
    await loop.made.one_pass()
    head = await loop.publisher.head()
    assert head is not None
    newest, oldest = head.history
    assert oldest.changes == ("first release",)
    assert newest.changes == ("Domain platform/retail: added; affects no agent; written by argocd",)


async def test_accepted_forms_whose_content_is_gone_stop_nobody_and_are_told(loop: Loop) -> None:
    """An operator that starts again goes on with what is written."""

    async def gone(names: Sequence[str]) -> bytes:
        raise HeadError("ConfigMap prod-chunk-1 is gone")

    loop.objects["Domain"] = [domain("retail")]
    await loop.relist()
    await loop.made.one_pass()
    anew = Loop(loop.publisher, loop.made.fleet.control)
    anew.made.fetch = gone
    anew.objects["Domain"] = loop.objects["Domain"]
    await anew.relist()
    await anew.made.one_pass()
    assert "is gone" in anew.kept.reports[-1].problem
    anew.objects["Domain"].append(domain("wealth"))
    await anew.relist()
    await anew.made.one_pass()
    head = await loop.publisher.head()
    assert head is not None
    assert head.generation == 2
    assert anew.kept.reports[-1].problem == ""

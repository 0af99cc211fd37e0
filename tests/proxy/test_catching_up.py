"""A rollout that takes something away: requests wait a moment for the snapshot on its way."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from signalbox_proxy import services as services_module
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.services import Services
from support.snapshots import snapshot


def runtime(generation: int) -> Runtime:
    return Runtime.build(snapshot(), version="v", generation=generation)


def outdated() -> Services:
    """A process that runs generation 1 and was told that 2 is needed."""
    ledger, nothing = SimpleNamespace(min_generation=2, was_reached=True), cast("Any", None)
    services = Services("p", cast("Any", ledger), nothing, nothing, nothing)
    services.take_up(runtime(1))
    return services


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment lasts as long as a busy machine makes it."""
    monkeypatch.setattr(services_module, "CATCH_UP_S", 60 * services_module.CATCH_UP_S)


@pytest.mark.usefixtures("patient")
async def test_a_request_waits_for_the_snapshot_that_is_on_its_way() -> None:
    services = outdated()
    waiting = [asyncio.create_task(services.runtime_in_force()) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    assert not any(task.done() for task in waiting)
    assert not services.ready
    services.take_up(runtime(2))
    assert [(await task).generation for task in waiting] == [2, 2, 2]
    assert services.ready


@pytest.mark.usefixtures("patient")
async def test_a_snapshot_that_is_too_old_as_well_ends_no_wait() -> None:
    services = outdated()
    services.ledger.min_generation = 3  # type: ignore[misc]
    waiting = asyncio.create_task(services.runtime_in_force())
    await asyncio.sleep(0)
    services.take_up(runtime(2))
    await asyncio.wait((waiting,), timeout=0.05)
    assert not waiting.done()
    services.take_up(runtime(3))
    assert (await waiting).generation == 3


async def test_only_the_first_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that stays cut off refuses at once."""
    monkeypatch.setattr(services_module, "CATCH_UP_S", 0.05)
    services = outdated()
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            await services.runtime_in_force()
        assert refused.value.code == "snapshot_outdated"
    # Since then nobody waits: the second refusal took no time, or this one would.
    assert services._outdated_since is not None
    services._outdated_since -= 60.0
    monkeypatch.setattr(services_module, "CATCH_UP_S", 50.0)
    async with asyncio.timeout(30):
        with pytest.raises(Refusal):
            await services.runtime_in_force()


def test_a_newcomer_waits_for_its_ledger_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the database away, what no budget binds is served all the same."""
    services = outdated()
    services.take_up(runtime(2))
    services.ledger.was_reached = False  # type: ignore[misc]
    assert not services.ready
    monkeypatch.setattr(services_module, "LEDGER_WAIT_S", 0.0)
    assert services.ready

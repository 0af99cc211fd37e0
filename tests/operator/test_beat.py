"""A fleet that takes long to compile is no loop that hangs; one that hangs is told all the same."""

import threading
from pathlib import Path

import aiohttp
import pytest

from signalbox_api import KINDS
from signalbox_operator import beat, reconcile
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.fleet_view import FleetView
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.inventory import Inventory
from signalbox_operator.listing import Listing
from signalbox_operator.publish import Publisher
from signalbox_operator.reconcile import Reconciler
from signalbox_operator.reporter import Report
from support.control_ports import KEY, TOKEN


async def _nobody() -> tuple[ProxyAddress, ...]:
    return ()


class Unheard:
    """A reporter."""

    async def report(self, report: Report) -> None:
        """Told to nobody."""


async def test_a_pass_that_compiles_long_gives_signs_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler does not return before the loop gave three signs."""
    signs: list[float] = []
    enough = threading.Event()

    class Watched(Reconciler):
        def _beat(self) -> None:
            super()._beat()
            signs.append(self.beat_at)
            if len(signs) > 3:
                enough.set()

    def slow(objects: object, **more: object) -> Compilation:
        assert enough.wait(30), "the loop gave no sign while it compiled"
        return compile_objects([], platform_namespace="platform")

    monkeypatch.setattr(reconcile, "compile_objects", slow)
    monkeypatch.setattr(beat, "BEAT_S", 0.01)
    inventory = Inventory()

    async def relist() -> None:
        for kind in KINDS:
            inventory.listed(kind, Listing((), "99"))

    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, TOKEN)
        publisher = Publisher(FileHeadStore(tmp_path / "head.json"), KEY, control, fleet="prod")
        loop = Watched(
            inventory=inventory,
            publisher=publisher,
            fleet=FleetView(control, _nobody, lambda: None),
            reporter=Unheard(),
            platform_namespace="platform",
            fleet_name="prod",
            relist=relist,
            fetch=publisher.fetch,
        )
        await relist()
        await loop.one_pass()
        assert loop.passes.succeeded == 1
    assert signs == sorted(signs)


async def test_work_that_never_ends_gives_no_sign_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beat, "BEAT_S", 0.001)
    monkeypatch.setattr(beat, "WORK_AT_MOST_S", 0.005)
    signs: list[int] = []
    await beat.tick(lambda: signs.append(1))
    assert len(signs) == 5

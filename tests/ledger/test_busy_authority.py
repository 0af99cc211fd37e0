"""A database that is busy and one that is gone: who waits for a hold is told which.

The authority here is the test's own, on a real socket: it answers what and when the test says.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from signalbox_ledger import drawing
from signalbox_ledger.accounts import Figures
from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from signalbox_ledger.framing import FrameReader, decode_request, frame
from signalbox_ledger.protocol import (
    Alive,
    Configure,
    Configured,
    Done,
    Draw,
    Drawn,
    Grant,
    Hello,
    Message,
    Ping,
    Poll,
    Polled,
    Welcome,
)
from support.ledgers import budget

pytestmark = pytest.mark.deadlines
CLAIM = Claim("ns/day", "", 10)


@dataclass
class SlowAuthority:
    """Answers everything at once but draws: those when `draws` is set."""

    alive: Callable[[], Alive]
    draws: asyncio.Event = field(default_factory=asyncio.Event)
    pings: int = 0
    wants_all_back: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        self.writers.append(writer)
        async with asyncio.TaskGroup() as answering:
            while data := await reader.read(65536):
                for number, body in frames.feed(data):
                    answering.create_task(self.answer(writer, number, body))

    async def answer(self, writer: asyncio.StreamWriter, number: int, body: bytes) -> None:
        reply: Message
        match decode_request(body):
            case Hello():
                reply = Welcome(0, 0, 0)
            case Configure(generation):
                reply = Configured(generation)
            case Poll():
                reply = Polled(0, [])
            case Ping():
                self.pings += 1
                reply = self.alive()
            case Draw(items):
                await self.draws.wait()
                figures = Figures(1000, 10, None, 0)
                wanted = [one.slice_id for one in items] if self.wants_all_back else []
                grants = [Grant(one.slice_id, 10, 0, 0, figures) for one in items]
                reply = Drawn(0, grants, wanted=wanted)
            case _:
                reply = Done()
        if not writer.is_closing():
            writer.write(frame(number, reply))


@pytest.fixture
async def slow() -> SlowAuthority:
    return SlowAuthority(lambda: Alive(0))


@pytest.fixture
async def ledger(slow: SlowAuthority, folder: Path) -> AsyncIterator[ProxyLedger]:
    server = await asyncio.start_unix_server(slow.serve, folder / "a.sock")
    opened = await ProxyLedger.open(name="p", socket=folder / "a.sock", journal_dir=folder / "p")
    await opened.configure(1, [budget(limit=1000)])
    yield opened
    slow.draws.set()
    await opened.close()
    server.close()
    for writer in slow.writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def pinged(slow: SlowAuthority, times: int) -> None:
    async with asyncio.timeout(60):
        while slow.pings < times:
            await asyncio.sleep(0.01)


async def test_who_waits_for_a_busy_database_gets_its_hold(
    ledger: ProxyLedger, slow: SlowAuthority
) -> None:
    """Twice as long as a silent one would be waited for, by its own clock: ten pings."""
    asking = asyncio.create_task(ledger.hold([CLAIM], wait_s=0.0))
    await pinged(slow, 10)
    slow.draws.set()
    assert isinstance(await asking, Hold)


@pytest.mark.parametrize("silent_ms", [None, 10_000])
async def test_who_waits_for_a_database_that_is_gone_hears_of_it(
    ledger: ProxyLedger, slow: SlowAuthority, silent_ms: int | None
) -> None:
    """Within five steps of its patience: no time for many pings."""
    slow.alive = lambda: Alive(silent_ms)
    asking = asyncio.create_task(ledger.hold([CLAIM]))
    counting = asyncio.create_task(pinged(slow, 30))
    await asyncio.wait((asking, counting), return_when=asyncio.FIRST_COMPLETED)
    assert not counting.done()
    counting.cancel()
    found = await asking
    assert isinstance(found, Shortage)
    assert found.reason == "unavailable"


async def test_a_database_that_goes_while_somebody_waits_is_noticed(
    ledger: ProxyLedger, slow: SlowAuthority
) -> None:
    asking = asyncio.create_task(ledger.hold([CLAIM]))
    await pinged(slow, 3)
    slow.alive = lambda: Alive(None)
    found = await asking
    assert isinstance(found, Shortage)
    assert found.reason == "unavailable"


async def test_nobody_waits_for_ever_even_if_others_are_answered(
    ledger: ProxyLedger, slow: SlowAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_ALIVE_S", 0.3)
    found = await ledger.hold([CLAIM])
    assert isinstance(found, Shortage)
    assert found.reason == "unavailable"
    assert slow.pings


async def test_who_comes_later_waits_for_a_busy_database_too(
    ledger: ProxyLedger, slow: SlowAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A draw under way for long is no silence where others are answered."""
    monkeypatch.setattr(drawing, "_SILENT_AFTER_S", 0.3)
    monkeypatch.setattr(drawing, "_ALIVE_S", 60.0)
    first = asyncio.create_task(ledger.hold([CLAIM], wait_s=0.0))
    await pinged(slow, 10)
    second = asyncio.create_task(ledger.hold([CLAIM], wait_s=0.0))
    await pinged(slow, 12)
    slow.draws.set()
    assert isinstance(await first, Hold)
    assert isinstance(await second, Hold)


async def test_what_was_granted_for_a_hold_serves_it_though_somebody_wants_it_already(
    ledger: ProxyLedger, slow: SlowAuthority
) -> None:
    """Several draws are answered together: the next one may lack what this one got."""
    slow.wants_all_back = True
    slow.draws.set()
    assert isinstance(await ledger.hold([CLAIM]), Hold)

"""A machine that went down takes with it what was written last: its journal is no proof of the end.

The journal is not synced to the disk for each entry, so that a process that dies loses nothing, and
a machine that does may lose the latest pages, in any order.
"""

from pathlib import Path

import pytest

from signalbox_ledger import journal as journals
from signalbox_ledger import recovery, status
from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.recovery import Recovery, recover_all
from support.ledgers import abandon, budget, hold, run_of


@pytest.fixture
def other_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine was started anew before the recovery."""
    monkeypatch.setattr(recovery, "boot_id", lambda: "another")


async def settled(authority) -> tuple[int, int]:
    (found,) = (await status.fetch(authority.socket)).budgets
    return found.figures.settled, found.figures.held


async def recovered(authority, folder) -> Recovery:
    (found,) = await recover_all(authority.socket, [folder / "p0"])
    assert found.problem == ""
    assert list((folder / "p0").iterdir()) == []
    return found


def lose_pages(folder: Path, ledger: ProxyLedger, kept: int) -> None:
    """The first segment as the disk has it, of which only the first `kept` bytes came there."""
    path = journals.segment_path(folder / "p0", ledger.holder_id, 0)
    content = path.read_bytes()
    path.write_bytes(content[:kept] + bytes(len(content) - kept))


@pytest.mark.usefixtures("other_boot", "unflushed")
async def test_a_call_whose_entry_the_machine_took_along_is_paid_for(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.record(run_of(ledger, "r1", ledger.settle(await hold(ledger, 100), [40])))
    kept = ledger._journal.end
    ledger.dispatching(run_of(ledger, "r2", (await hold(ledger, 300)).parts))
    await abandon(ledger)
    lose_pages(folder, ledger, kept)
    found = await recovered(authority, folder)
    assert (found.runs, found.unknown) == (1, 0)
    assert found.lost > 0
    spent, held = await settled(authority)
    assert held == 0
    assert spent >= 40 + 300


@pytest.mark.usefixtures("other_boot", "unflushed")
async def test_what_is_left_of_the_journal_is_settled_and_nothing_is_charged_twice(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    first, second = await hold(ledger, 100), await hold(ledger, 200)
    ledger.record(run_of(ledger, "r1", ledger.settle(first, [40])))
    ledger.dispatching(run_of(ledger, "r2", second.parts))
    await abandon(ledger)
    found = await recovered(authority, folder)
    assert (found.runs, found.unknown) == (2, 1)
    assert await settled(authority) == (300, 0), "the slices, once"


@pytest.mark.usefixtures("other_boot", "unflushed")
async def test_a_disk_that_has_less_than_was_settled_leaves_nothing_behind(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.dispatching(run_of(ledger, "r1", (first := await hold(ledger, 100)).parts))
    kept = ledger._journal.end
    ledger.record(run_of(ledger, "r1", ledger.settle(first, [40])))
    await ledger._flusher.flush()
    assert ledger._flusher.acknowledged == ledger._journal.end
    await hold(ledger, 200)
    await abandon(ledger)
    lose_pages(folder, ledger, kept)
    found = await recovered(authority, folder)
    assert (found.runs, found.unknown) == (0, 0)
    spent, held = await settled(authority)
    assert held == 0
    assert spent >= 40 + 200


@pytest.mark.usefixtures("other_boot", "unflushed")
async def test_a_segment_that_came_to_the_disk_in_part_does_not_stop_recovery(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.record(run_of(ledger, "r1", ledger.settle(await hold(ledger, 100), [40])))
    kept = ledger._journal.end
    await hold(ledger, 200)
    ledger._journal.append(journals.frame_entry(journals.HEADER, b"x" * 100))
    ledger._journal.rotate([])
    await abandon(ledger)
    lose_pages(folder, ledger, kept)
    assert (await recovered(authority, folder)).runs == 1
    spent, held = await settled(authority)
    assert (spent >= 240, held) == (True, 0)

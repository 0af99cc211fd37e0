"""The journal of an incarnation survives what kills a process."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger import journal as journals
from signalbox_ledger.journal import (
    DISPATCHING,
    RECORD,
    Journal,
    JournalError,
    JournalLock,
    entries,
    frame_entry,
    segments_of,
)
from signalbox_ledger.journal_lock import holders_in

BODIES = st.lists(st.binary(max_size=200), min_size=1, max_size=20)


@given(BODIES, st.data())
def test_a_torn_tail_costs_the_last_entry_only(bodies: list[bytes], data: st.DataObject) -> None:
    frames = [frame_entry(RECORD, body) for body in bodies]
    whole = b"".join(frames)
    cut = data.draw(st.integers(0, len(whole)))
    found = [entry.body for entry in entries(whole[:cut])]
    assert found == bodies[: len(found)]
    assert sum(map(len, frames[: len(found)])) <= cut
    assert cut == len(whole) or cut < sum(map(len, frames[: len(found) + 1]))


@given(BODIES, st.data())
def test_a_flipped_bit_is_never_read_as_an_entry(bodies, data: st.DataObject) -> None:
    whole = bytearray(b"".join(frame_entry(RECORD, body) for body in bodies))
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= 1 << data.draw(st.integers(0, 7))
    found = [entry.body for entry in entries(bytes(whole))]
    assert found == bodies[: len(found)]
    assert len(found) < len(bodies)


def test_a_living_journal_cannot_be_taken_and_a_closed_one_can(folder) -> None:
    journal = Journal(folder, "p-1", "p")
    assert JournalLock.take(folder, "p-1") is None
    with pytest.raises(JournalError, match="taken"):
        Journal(folder, "p-1", "p")
    journal.close(settled=False)
    lock = JournalLock.take(folder, "p-1")
    assert lock is not None
    lock.remove()
    assert holders_in(folder) == []


def test_settled_segments_go_and_what_is_in_flight_is_carried_on(folder, monkeypatch) -> None:
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 1000)
    monkeypatch.setattr(journals, "KEPT_SEGMENTS", 0)
    journal = Journal(folder, "p-1", "p")
    open_ = frame_entry(DISPATCHING, b"open")
    journal.append(open_)
    while len(segments_of(folder, "p-1")) < 4:
        record = frame_entry(RECORD, b"x" * 100)
        if not journal.has_room(len(record)):
            journal.rotate([open_])
        journal.append(record)
    end = journal.end
    data = journal.read(0, end)
    assert [entry.end for entry in entries(data)][-1] == end
    journal.forget(end)
    (last,) = segments_of(folder, "p-1")
    kept = [entry.body for entry in entries(journal.read(last, end), last)]
    assert b"open" in kept
    with pytest.raises(JournalError, match="not all there"):
        journal.read(0, end)
    journal.close(settled=True)
    assert list(folder.iterdir()) == []


def test_the_newest_settled_segments_stay_for_a_database_that_lost_them(
    folder, monkeypatch
) -> None:
    monkeypatch.setattr(journals, "SEGMENT_BYTES", 1000)
    journal = Journal(folder, "p-1", "p")
    for _ in range(8):
        journal.rotate([])
        journal.append(frame_entry(RECORD, b"x" * 100))
    journal.forget(journal.end)
    kept = segments_of(folder, "p-1")
    assert len(kept) == journals.KEPT_SEGMENTS + 1
    assert journal.kept_from == kept[0]
    data = journal.read_entries(kept[0], journal.end)
    assert len([entry for entry in entries(data) if entry.kind == RECORD]) == len(kept)
    with pytest.raises(JournalError, match="not all there"):
        journal.read_entries(0, journal.end)
    journal.close(settled=True)


def test_a_full_disk_leaves_no_half_entry(folder) -> None:
    journal = Journal(folder, "p-1", "p")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.end + 50, before[1]))
    try:
        with pytest.raises(JournalError):
            journal.append(frame_entry(RECORD, b"x" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not journal.has_room(1)  # a disk that took half an entry is asked for a new segment
    journal.rotate([])
    journal.append(frame_entry(RECORD, b"y"))
    found = [(entry.kind, entry.body) for entry in entries(journal.read(0, journal.end))]
    assert [kind for kind, _ in found] == [journals.HEADER, journals.HEADER, RECORD]
    assert found[-1] == (RECORD, b"y")
    journal.close(settled=True)


def test_room_is_set_aside_when_a_segment_begins(folder) -> None:
    """So a disk that fills up meanwhile takes every entry that there was room for."""
    journal = Journal(folder, "p-1", "p")
    (segment,) = folder.glob("*.journal")
    assert segment.stat().st_blocks * 512 >= journals.SEGMENT_BYTES
    while journal.has_room(100_000 + 9):
        journal.append(frame_entry(RECORD, b"x" * 100_000))
    assert segment.stat().st_size >= journal.end > journals.SEGMENT_BYTES - 100_100
    with pytest.raises(JournalError, match="no room"):
        journal.append(frame_entry(RECORD, b"x" * 200_000))
    journal.rotate([], room_for=journals.SEGMENT_BYTES + 1)
    assert journal.has_room(journals.SEGMENT_BYTES + 1)
    journal.close(settled=True)


def test_reading_ends_at_the_zeros_behind_the_last_entry() -> None:
    whole = frame_entry(RECORD, b"a") + frame_entry(RECORD, b"b")
    assert [entry.body for entry in entries(whole + bytes(5000))] == [b"a", b"b"]
    assert [entry.body for entry in entries(whole[:-1] + bytes(5000))] == [b"a"]


def test_a_full_disk_leaves_a_segment_that_is_due_unbegun(folder) -> None:
    journal = Journal(folder, "p-1", "p")
    open_ = frame_entry(DISPATCHING, b"open" * 100)
    journal.append(open_)
    end = journal.end
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        with pytest.raises(JournalError):
            journal.rotate([open_])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (journal.end, segments_of(folder, "p-1")) == (end, [0])
    journal.rotate([open_])
    kinds = [entry.kind for entry in entries(journal.read(end, journal.end), end)]
    assert kinds == [journals.HEADER, DISPATCHING]
    journal.close(settled=True)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("holder", ["../x", "", "a/b", "a.b", "x" * 81])
def test_a_holder_id_is_no_path(folder, holder: str) -> None:
    with pytest.raises(JournalError, match="holder id"):
        JournalLock.take(folder, holder)

"""Events wait by turns of namespaces."""

import pytest

from signalbox_api import ResourceKey
from signalbox_operator.note_queue import NoteQueue
from signalbox_operator.status_notes import Note


def note(namespace: str, number: int) -> Note:
    key = ResourceKey("Budget", namespace, f"b{number}")
    return Note(key, "u", "NotAccepted", "no", f"{namespace}.{number}")


def taken(queue: NoteQueue) -> list[str]:
    return [queue.take().name for _ in range(len(queue))]


def test_a_crowd_of_one_namespace_keeps_nothing_of_another_back() -> None:
    queue = NoteQueue(100)
    for number in range(5_000):
        queue.put(note("crowd", number))
    assert len(queue) == 100
    assert not queue.put(note("tenant", 0))
    assert not queue.put(note("crowd", 5_000))
    assert len(queue) == 100
    assert "tenant.0" in taken(queue)[:2]


def test_what_is_dropped_is_the_newest_of_who_has_most() -> None:
    queue = NoteQueue(4)
    assert all(queue.put(note("crowd", number)) for number in range(4))
    assert not queue.put(note("tenant", 0))
    assert sorted(taken(queue)) == ["crowd.0", "crowd.1", "crowd.2", "tenant.0"]


def test_namespaces_take_turns_and_each_tells_in_its_order() -> None:
    queue = NoteQueue(10)
    for each in [note("a", 0), note("a", 1), note("a", 2), note("b", 0), note("b", 1)]:
        assert queue.put(each)
    assert taken(queue) == ["a.0", "b.0", "a.1", "b.1", "a.2"]
    assert len(queue) == 0
    with pytest.raises(KeyError):
        queue.take()


def test_who_has_one_to_tell_tells_it_whoever_comes_after() -> None:
    queue = NoteQueue(3)
    for namespace in ("a", "b", "c"):
        assert queue.put(note(namespace, 0))
    assert not queue.put(note("d", 0))
    assert not queue.put(note("a", 1))
    assert taken(queue) == ["a.0", "b.0", "c.0"]

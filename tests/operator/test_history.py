"""History: bounded, shared between releases, and never more than what it names."""

import random
import string

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from signalbox_operator import chunks, history
from signalbox_operator.head import Head, Pin
from signalbox_operator.history import MAX_RELEASES, MAX_STORED, Record, next_release
from signalbox_snapshot import codec
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.envelope import seal
from support.whole_snapshot import whole_snapshot

KEY = Ed25519PrivateKey.generate()
AGENTS = 3000


def large(limit: int = 1, agents: int = AGENTS) -> wire.Snapshot:
    """Agents with keys that do not compress."""
    whole = whole_snapshot()
    drawn = random.Random(7)
    listed = [
        msgspec.structs.replace(
            whole.agents[0],
            id=f"wealth/a{number:05}",
            keys=[wire.Key(name="k", sha256="".join(drawn.choices(string.hexdigits[:16], k=64)))],
        )
        for number in range(agents)
    ]
    budget = msgspec.structs.replace(whole.budgets[0], limit=limit)
    return msgspec.structs.replace(whole, agents=listed, budgets=[budget])


def release(
    snapshot: wire.Snapshot, current: Head | None = None, **record: object
) -> history.Release:
    payload = codec.encode(snapshot)
    generation = current.generation + 1 if current else 1
    sealed = seal(KEY, fleet="f", generation=generation, payload=payload)
    return next_release(current, sealed, Record(at=generation, **record), "id-1")


@given(st.binary(max_size=2000), st.integers(0, 5))
def test_a_document_is_what_its_chunks_join_to(piece: bytes, repeated: int) -> None:
    document = b"},{".join([piece] * (repeated * 40))
    stored = chunks.packed(document)
    names = chunks.names(document)
    assert chunks.joined(names, [stored[name] for name in names]) == document


def test_chunks_are_bounded_and_documents_without_lists_are_cut_too() -> None:
    for document in (codec.encode(large()), bytes(3_000_000), random.Random(1).randbytes(900_000)):
        stored = chunks.packed(document)
        assert max(map(len, stored.values())) <= chunks.MAX_STORED
        names = chunks.names(document)
        assert chunks.joined(names, [stored[name] for name in names]) == document


def test_releases_that_differ_in_one_object_share_all_other_chunks() -> None:
    first = release(large())
    assert len(first.head.history[0].chunks) > 5
    added = large(agents=AGENTS + 1)
    changed = msgspec.structs.replace(added.agents[1500], max_sensitivity=0)
    agents = [*added.agents[:1500], changed, *added.agents[1501:]]
    second = release(msgspec.structs.replace(added, agents=agents), first.head)
    new = set(second.head.history[0].chunks) - set(first.head.history[0].chunks)
    assert 0 < len(new) <= 3


def test_the_latest_fifty_are_kept_newest_first() -> None:
    head = None
    for limit in range(1, MAX_RELEASES + 11):
        made = release(large(limit, agents=1), head, changes=(f"limit {limit}",))
        head = made.head
    assert head is not None
    assert [entry.generation for entry in head.history] == list(range(60, 10, -1))
    assert head.sizes.keys() == {name for entry in head.history for name in entry.chunks}
    assert head.fleet_id == "id-1"


def test_what_is_pinned_stays_however_many_follow() -> None:
    head = release(large(1, agents=1)).head
    pin = Pin(generation=1, until=10**10)
    for limit in range(2, MAX_RELEASES + 11):
        head = release(large(limit, agents=1), head, pin=pin).head
    assert len(head.history) == MAX_RELEASES
    assert head.history[-1].generation == 1


def test_all_chunks_together_are_bounded_and_the_newest_release_always_stays() -> None:
    head = None
    for seed in range(12):
        filler = random.Random(seed).randbytes(3_000_000)
        made = release(large(seed + 1, agents=1), head, accepted=filler)
        assert sum(made.head.sizes.values()) <= MAX_STORED
        head = made.head
    alone = release(large(1, agents=1), None, accepted=random.Random(0).randbytes(MAX_STORED + 1))
    assert len(alone.head.history) == 1


def test_sentences_are_cut_and_counted() -> None:
    told = history.shortened([f"{number}" * 300 for number in range(10)])
    assert len(told) == 9
    assert max(map(len, told[:-1])) == history.MAX_SENTENCE
    assert told[-1] == "and 2 more changes"

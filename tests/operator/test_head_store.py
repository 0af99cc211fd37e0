"""The head in a real API server is swapped from what was read; chunks live as long as needed."""

from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.cluster.api import ClusterApi, connected
from signalbox_operator.cluster.head_store import ClusterHeadStore
from signalbox_operator.head import Head, HeadError, HeadMovedError, HeadWentBackError
from signalbox_operator.history import Record, Release, next_release
from signalbox_snapshot import codec
from signalbox_snapshot.envelope import seal
from support.apiserver import ApiServer
from support.whole_snapshot import whole_snapshot

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
async def api(apiserver: ApiServer) -> AsyncIterator[ClusterApi]:
    async with connected(str(apiserver.kubeconfig)) as made:
        yield made


def release(current: Head | None, accepted: bytes = b"[]") -> Release:
    generation = current.generation + 1 if current else 1
    payload = codec.encode(whole_snapshot())
    sealed = seal(KEY, fleet="prod", generation=generation, payload=payload)
    return next_release(current, sealed, Record(at=generation, accepted=accepted), "id")


async def stored(store: ClusterHeadStore, made: Release) -> Head:
    expected = made.head.generation - 1
    await store.keep(made.chunks, made.head.generation)
    head = await store.compare_and_swap(expected, made.head)
    await store.sweep(head)
    return head


async def test_a_head_is_read_as_it_was_swapped_in(api: ClusterApi, namespace: str) -> None:
    store = ClusterHeadStore(api, namespace, "prod")
    assert await store.read() is None
    head = await stored(store, release(None, b"forms"))
    again = ClusterHeadStore(api, namespace, "prod")
    assert await again.read() == head
    assert await again.fetch(head.accepted) == b"forms"


async def test_of_two_operators_that_read_the_same_head_one_swaps(
    api: ClusterApi, namespace: str
) -> None:
    one, other = ClusterHeadStore(api, namespace, "prod"), ClusterHeadStore(api, namespace, "prod")
    assert await one.read() is None
    assert await other.read() is None
    first = await stored(one, release(None))
    with pytest.raises(HeadMovedError):
        await stored(other, release(None))
    assert await other.read() == first
    second = await stored(other, release(first))
    with pytest.raises(HeadMovedError):
        await stored(one, release(first))
    assert await one.read() == second


async def test_an_operator_that_read_nothing_swaps_nothing(api: ClusterApi, namespace: str) -> None:
    store = ClusterHeadStore(api, namespace, "prod")
    await store.read()
    first = await stored(store, release(None))
    with pytest.raises(HeadMovedError):
        await ClusterHeadStore(api, namespace, "prod").compare_and_swap(1, release(first).head)


async def test_chunks_that_nobody_names_go_and_those_of_a_release_under_way_stay(
    api: ClusterApi, namespace: str, apiserver: ApiServer
) -> None:
    def kept() -> set[str]:
        listed = apiserver.admin.get("ConfigMap", namespace)["items"]
        names = {item["metadata"]["name"] for item in listed}
        return {name.removeprefix("prod-chunk-") for name in names if "-chunk-" in name}

    store = ClusterHeadStore(api, namespace, "prod")
    await store.read()
    first = await stored(store, release(None, b"one"))
    under_way = release(first, b"of another operator")
    await ClusterHeadStore(api, namespace, "prod").keep(under_way.chunks, 5)
    second = await stored(store, release(first, b"two"))
    assert set(first.accepted).isdisjoint(kept())
    assert set(under_way.head.accepted) <= kept()
    head = second
    for number in range(3):
        head = await stored(store, release(head, b"%d" % number))
    assert kept() == set(head.sizes)


async def test_content_that_another_operator_swept_is_kept_anew(
    api: ClusterApi, namespace: str
) -> None:
    """One lost a race; the other swept what was kept for it; then both want the same."""
    one, other = ClusterHeadStore(api, namespace, "prod"), ClusterHeadStore(api, namespace, "prod")
    await one.read()
    first = await stored(one, release(None, b"one"))
    await other.read()
    wanted = release(first, b"wanted by one")
    await one.keep(wanted.chunks, wanted.head.generation)
    second = await stored(other, release(first, b"wanted by the other"))
    with pytest.raises(HeadMovedError):
        await one.compare_and_swap(first.generation, wanted.head)
    assert await one.read() == second
    head = await stored(one, release(second, b"wanted by one"))
    anew = ClusterHeadStore(api, namespace, "prod")
    assert await anew.read() == head
    assert await anew.fetch(head.accepted) == b"wanted by one"


async def test_a_head_that_is_older_than_it_was_is_found_out(
    api: ClusterApi, namespace: str, apiserver: ApiServer
) -> None:
    """As after a restore of etcd: what is known of chunks and versions is of no use any more."""
    store = ClusterHeadStore(api, namespace, "prod")
    await store.look()
    await store.read()
    first = await stored(store, release(None))
    backup = apiserver.admin.get("ConfigMap", namespace, "prod-head")["data"]
    await stored(store, release(first))
    await store.look()
    apiserver.admin.patch("ConfigMap", namespace, "prod-head", {"data": backup})
    with pytest.raises(HeadWentBackError, match="is at generation 1 and was at 2: etcd"):
        await store.look()
    with pytest.raises(HeadWentBackError):
        await store.read()
    apiserver.admin.delete("ConfigMap", namespace, "prod-head")
    with pytest.raises(HeadWentBackError, match="is at generation 0 and was at 2"):
        await store.look()
    with pytest.raises(HeadWentBackError):
        await store.read()
    assert await ClusterHeadStore(api, namespace, "prod").read() is None


async def test_a_damaged_head_is_an_error_and_never_a_fresh_start(
    api: ClusterApi, namespace: str, apiserver: ApiServer
) -> None:
    store = ClusterHeadStore(api, namespace, "prod")
    await store.read()
    head = await stored(store, release(None))
    name = f"prod-chunk-{head.history[0].chunks[0]}"
    apiserver.admin.delete("ConfigMap", namespace, name)
    with pytest.raises(HeadError, match=name):
        await ClusterHeadStore(api, namespace, "prod").read()
    apiserver.admin.patch("ConfigMap", namespace, "prod-head", {"data": {"head": "{}"}})
    with pytest.raises(HeadError, match="damaged"):
        await ClusterHeadStore(api, namespace, "prod").read()

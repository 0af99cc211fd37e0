"""Idempotency keys at the authority: who has one, for how long, and when it is given back."""

import asyncio
import contextlib
import hashlib
import signal
import time

import pytest

from signalbox_ledger import idempotency, protocol, response_store, run_store
from signalbox_ledger import store as stores
from signalbox_ledger.asking import connected
from signalbox_ledger.client import LedgerUnavailableError
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Claimed, ClaimKey
from signalbox_ledger.replies import StoredResponse
from signalbox_ledger.stored_response import KeepResponse
from support.ledgers import until
from support.recorded_runs import make_attempt, make_run

DAY_MS = 24 * 3600 * 1000


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def asked(run_id: str, key: str = "k", body: str = "b", agent: str = "retail/support") -> ClaimKey:
    return ClaimKey(agent, digest(key), digest(body), run_id)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, folder):
    """Both databases: one SQL for both."""
    if request.param == "sqlite":
        opened = open_database(folder / "ledger.db")
    else:
        opened = open_database(request.getfixturevalue("postgres_dsn"))
    yield opened
    opened.close()


def claim(database, request: ClaimKey, now_ms: int = 0, holder: str = "p-1") -> Claimed:
    with database.transaction():
        return idempotency.claim(database, request, holder, now_ms)


def test_the_first_run_has_the_key_and_has_it_again(database) -> None:
    for _ in range(2):
        assert claim(database, asked("r1")) == Claimed("r1", same_body=True, ended=False)


def test_the_second_run_hears_whose_it_is(database) -> None:
    claim(database, asked("r1"))
    assert claim(database, asked("r2")) == Claimed("r1", same_body=True, ended=False)
    other = claim(database, asked("r3", body="other"))
    assert other == Claimed("r1", same_body=False, ended=False)


def test_keys_are_an_agents_own(database) -> None:
    claim(database, asked("r1"))
    assert claim(database, asked("r2", agent="retail/search")).run_id == "r2"


def test_a_key_is_kept_for_a_day_from_its_claim(database) -> None:
    claim(database, asked("r1"), now_ms=1000)
    assert claim(database, asked("r2"), now_ms=1000 + DAY_MS - 1).run_id == "r1"
    assert claim(database, asked("r3", body="other"), now_ms=1000 + DAY_MS).run_id == "r3"
    assert claim(database, asked("r4"), now_ms=1000 + DAY_MS).run_id == "r3"


def test_expired_keys_are_dropped_and_no_others(database) -> None:
    claim(database, asked("r1", key="old"), now_ms=0)
    claim(database, asked("r2", key="new"), now_ms=1)
    with database.transaction():
        assert idempotency.forget_expired(database, DAY_MS, 10) == 1
        kept = database.query("SELECT run_id FROM idempotency_key")
    assert kept == [("r2",)]


def test_what_expired_is_dropped_a_little_at_a_time(
    open_store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement that drops the keys of a day would take longer than any may take."""
    monkeypatch.setattr(stores, "_DROPPED_AT_ONCE", 2)
    store = open_store()
    stored = StoredResponse("r", "m", "l", 1, 0, [], "")
    with store.transaction():
        for number in range(3):
            idempotency.claim(store.database, asked("r", key=str(number)), "p-1", 0)
        for number in range(5):
            request = KeepResponse(digest("o"), digest(str(number)), stored)
            response_store.keep(store.database, request, 0)
    left = []
    is_more = True
    while is_more:
        with store.transaction():
            is_more = store.forget_ended(response_store.KEPT_MS // 1000)
            left += store.database.query(
                "SELECT (SELECT count(*) FROM idempotency_key),"
                " (SELECT count(*) FROM stored_response)"
            )
    assert left == [(1, 3), (0, 1), (0, 0)]


def test_what_is_given_back_is_free_and_only_its_own_run_gives_it_back(database) -> None:
    claim(database, asked("r1"))
    for run_id, then in (("r2", "r1"), ("r1", "r3")):
        with database.transaction():
            idempotency.release(database, "retail/support", digest("k"), run_id)
        assert claim(database, asked("r3")).run_id == then


def test_a_run_that_is_recorded_has_ended(database) -> None:
    claim(database, asked("r1"))
    with database.transaction():
        run_store.insert_runs(database, [make_run("r1")])
    assert claim(database, asked("r2")) == Claimed("r1", same_body=True, ended=True)


@pytest.mark.parametrize(
    ("settlement", "kept"), [("usage", True), ("full", True), ("zero", False), ("released", False)]
)
def test_after_a_crash_only_what_may_have_been_billed_keeps_its_key(
    database, settlement: str, kept: bool
) -> None:
    claim(database, asked("r1"))
    with database.transaction():
        run_store.insert_runs(
            database, [make_run("r1", attempts=[make_attempt(settlement=settlement)])]
        )
        idempotency.release_unbilled(database, "p-1")
    assert claim(database, asked("r2")).run_id == ("r1" if kept else "r2")


def test_after_a_crash_a_key_of_a_run_that_never_left_is_free(database) -> None:
    claim(database, asked("r1"))
    claim(database, asked("r2", key="of another"), holder="p-2")
    with database.transaction():
        idempotency.release_unbilled(database, "p-1")
    assert claim(database, asked("r3")).run_id == "r3"
    assert claim(database, asked("r4", key="of another")).run_id == "r2"


async def test_of_many_who_ask_at_once_one_has_the_key(authority) -> None:
    async def ask_as(name: str) -> list[str]:
        async with connected(authority.socket) as ask:
            await ask(protocol.Hello(name, f"{name}-1"))
            whose = []
            for number in range(50):
                reply = await ask(asked(f"{name}.{number}", key=str(number)))
                assert isinstance(reply, Claimed)
                whose.append(reply.run_id)
            return whose

    found = await asyncio.gather(*(ask_as(f"p{number}") for number in range(4)))
    assert found[0] == found[1] == found[2] == found[3]


async def test_nobody_claims_without_a_hello(authority) -> None:
    async with connected(authority.socket) as ask:
        assert isinstance(await ask(asked("r1")), protocol.Refused)


async def test_recovery_frees_what_the_dead_process_did_not_use(authority) -> None:
    async with connected(authority.socket) as dead, connected(authority.socket) as living:
        await dead(protocol.Hello("a", "a-1"))
        assert (await dead(asked("r1"))).run_id == "r1"
        await living(protocol.Hello("b", "b-1"))
        assert (await living(asked("r2"))).run_id == "r1"
        await living(protocol.Fence("a-1"))
        await living(protocol.Finish("a-1"))
        assert (await living(asked("r3"))).run_id == "r3"


async def test_a_lost_machine_keeps_its_keys(authority) -> None:
    """What it dispatched is in a journal that nobody has: it may all have been billed."""
    async with connected(authority.socket) as lost, connected(authority.socket) as living:
        await lost(protocol.Hello("a", "a-1"))
        await lost(asked("r1"))
        await living(protocol.Hello("b", "b-1"))
        await living(protocol.PostLoss("a-1"))
        assert (await living(asked("r2"))).run_id == "r1"


@pytest.mark.deadlines
async def test_an_authority_that_is_silent_is_given_up_in_time(open_ledger, authority) -> None:
    """And what it may have granted is taken back as soon as it can be."""
    ledger = await open_ledger("a")
    other = await open_ledger("b")
    authority.signal(signal.SIGSTOP)
    took_s = []
    for number in range(5):  # a busy machine adds to it
        began = time.monotonic()
        with pytest.raises(LedgerUnavailableError):
            await ledger.keys.claim(asked(f"r{number}"))
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 0.25
    authority.signal(signal.SIGCONT)

    async def is_free() -> bool:
        with contextlib.suppress(LedgerUnavailableError):
            return (await other.keys.claim(asked("mine"))).run_id == "mine"
        return False

    await until(is_free)

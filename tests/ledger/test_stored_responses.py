"""Answers that providers store, at the authority: whose they are, and for how long."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator

import pytest

from signalbox_ledger import protocol, response_store, stored_responses
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import AuthorityConnection, Clock
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import FindResponse, KeepResponse
from signalbox_ledger.replies import StoredResponse
from signalbox_ledger.stored_responses import StoredResponses

MONTH_MS = 30 * 24 * 3600 * 1000
STORED = StoredResponse("r_1", "platform/mini", "us", 120, 2, ["wealth/portfolios"], "5m")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, folder):
    """Both databases: one SQL for both."""
    if request.param == "sqlite":
        opened = open_database(folder / "ledger.db")
    else:
        opened = open_database(request.getfixturevalue("postgres_dsn"))
    yield opened
    opened.close()


def keep(database, stored=STORED, *, owner="o", name="resp_1", now_ms=0) -> None:
    with database.transaction():
        request = KeepResponse(digest(owner), digest(name), stored)
        response_store.keep(database, request, now_ms)


def find(database, *, owner="o", name="resp_1", now_ms=0) -> StoredResponse | None:
    with database.transaction():
        request = FindResponse(digest(owner), digest(name))
        return response_store.find(database, request, now_ms).stored


def test_what_is_kept_is_found_as_it_was_however_often_it_is_told(database) -> None:
    for _ in range(2):
        keep(database)
        assert find(database) == STORED


def test_nobody_finds_what_is_another_s_or_was_never_stored(database) -> None:
    keep(database)
    assert find(database, owner="other") is None
    assert find(database, name="resp_2") is None


def test_under_a_name_that_comes_again_stands_what_the_provider_has_now(database) -> None:
    keep(database)
    longer = StoredResponse("r_2", "platform/mini", "eu", 900, 3, [], "none")
    keep(database, longer)
    assert find(database) == longer


def test_it_is_found_for_as_long_as_providers_store_it_and_dropped_after(database) -> None:
    keep(database, name="old", now_ms=0)
    keep(database, name="new", now_ms=1)
    assert find(database, name="old", now_ms=MONTH_MS - 1) == STORED
    assert find(database, name="old", now_ms=MONTH_MS) is None
    with database.transaction():
        assert response_store.forget_expired(database, MONTH_MS, 10) == 1
        kept = database.query("SELECT response FROM stored_response")
    assert [bytes(name) for (name,) in kept] == [digest("new")]


async def test_nobody_keeps_or_finds_without_a_hello(authority) -> None:
    async with connected(authority.socket) as ask:
        for request in (
            KeepResponse(digest("o"), digest("r"), STORED),
            FindResponse(digest("o"), digest("r")),
        ):
            assert isinstance(await ask(request), protocol.Refused)


async def test_what_one_proxy_kept_another_finds(open_ledger) -> None:
    one, other = await open_ledger("a"), await open_ledger("b")
    await one.responses.keep(KeepResponse(digest("o"), digest("r"), STORED))
    assert await other.responses.find(FindResponse(digest("o"), digest("r"))) == STORED
    assert await other.responses.find(FindResponse(digest("p"), digest("r"))) is None


@pytest.fixture
async def connection(authority) -> AsyncIterator[AuthorityConnection]:
    """A connection that does not reach the authority until it is started."""
    made = AuthorityConnection(
        authority.socket,
        lambda: protocol.Hello("a", "a-1"),
        Clock(),
        on_connect=lambda _: None,
        on_fenced=lambda: None,
    )
    yield made
    await made.stop()


async def test_while_the_ledger_is_away_no_answer_waits_for_it_and_only_so_many_are_kept(
    connection, monkeypatch, caplog
) -> None:
    caplog.set_level(logging.WARNING, "signalbox.ledger")
    monkeypatch.setattr(stored_responses, "_KEEP_S", 3600.0)
    monkeypatch.setattr(stored_responses, "MAX_KEEPING", 3)
    responses = StoredResponses(connection)
    names = [digest(str(number)) for number in range(5)]
    async with asyncio.timeout(60):
        for name in names:
            await responses.keep(KeepResponse(digest("o"), name, STORED))
        assert caplog.text.count("no more are kept") == 1, "told once, not with each"
        await connection.start(patience_s=60)
        for name in names[:3]:
            while await responses.find(FindResponse(digest("o"), name)) is None:
                pass
    assert "2 stored answers were not kept" in caplog.text
    for name in names[3:]:
        assert await responses.find(FindResponse(digest("o"), name)) is None
        await responses.keep(KeepResponse(digest("o"), name, STORED))
        assert await responses.find(FindResponse(digest("o"), name)) == STORED
    await responses.close()

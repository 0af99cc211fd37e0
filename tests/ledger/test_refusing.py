"""An account is exhausted while all it does is refuse; admitting somebody ends that."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger import refusing
from signalbox_ledger.budget_signals import newest
from signalbox_ledger.database import Database
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Signals
from signalbox_ledger.refusing import Follower
from support.recorded_runs import NOON, make_run, record, refused_run

BUDGET = "signalbox/day"
WINDOW = NOON // 1000
LEFT = 300
"""What the account has left in these tests; refused requests needed 500."""


class Following:
    """A follower of an authority's database, and how often it asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._follower = Follower()
        self.asked = 0

    async def ask(self, request: AnyRequest) -> AnyReply:
        assert isinstance(request, Signals)
        self.asked += 1
        with self._database.transaction():
            return newest(self._database, request.after, request.limit)

    async def refuses(self, subject: str = "", window: int = WINDOW, left: int = LEFT) -> bool:
        await self._follower.follow(self.ask)
        return self._follower.refusing.refuses(BUDGET, subject, window_start=window, remaining=left)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path / "ledger.db")) as database:
        yield database


@pytest.fixture
def seen(ledger: Database) -> Following:
    return Following(ledger)


def refusal(name: str, at: int, subject: str = "", **more: str) -> object:
    shortage = {"budget": BUDGET, "subject": subject, "needed": 500}
    return refused_run(name, started_at=NOON + at, decision={"shortage": shortage}, **more)


async def test_a_refusal_counts_in_its_window_only(ledger: Database, seen: Following) -> None:
    assert not await seen.refuses()
    record(ledger, [refusal("r_1", 500)])
    assert await seen.refuses()
    assert not await seen.refuses(window=WINDOW + 60)


async def test_who_is_admitted_afterwards_shows_that_something_is_left(
    ledger: Database, seen: Following
) -> None:
    record(ledger, [refusal("r_1", 500), make_run("r_2", started_at=NOON + 400)])
    assert await seen.refuses()
    record(ledger, [make_run("r_3", started_at=NOON + 900)])
    assert not await seen.refuses()
    record(ledger, [refusal("r_4", 1_000)])
    assert await seen.refuses()


async def test_another_agent_that_is_admitted_says_nothing(
    ledger: Database, seen: Following
) -> None:
    other = make_run("r_2", started_at=NOON + 900, agent="signalbox/other")
    record(ledger, [refusal("r_1", 500), other])
    assert await seen.refuses()


async def test_a_raised_limit_shows_at_once_that_something_is_left(
    ledger: Database, seen: Following
) -> None:
    record(ledger, [refusal("r_1", 500)])
    assert await seen.refuses(left=499)
    assert not await seen.refuses(left=500)


async def test_one_sessions_end_is_its_own(ledger: Database, seen: Following) -> None:
    record(ledger, [refusal("r_1", 500, "session-7", session="session-7")])
    assert not await seen.refuses()
    assert await seen.refuses("session-7")
    record(ledger, [make_run("r_2", started_at=NOON + 900, session="session-8")])
    assert await seen.refuses("session-7")
    record(ledger, [make_run("r_3", started_at=NOON + 950, session="session-7")])
    assert not await seen.refuses("session-7")


async def test_who_begins_to_follow_finds_the_newest_and_then_only_what_is_new(
    ledger: Database,
) -> None:
    record(ledger, [refusal("r_1", 500)])
    late = Following(ledger)
    assert await late.refuses()
    assert await late.refuses()
    assert late.asked == 2


async def test_what_is_remembered_is_bounded(
    ledger: Database, seen: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusing, "MOST", 2)
    record(ledger, [refusal(f"r_{n}", 500 + n, f"u{n}") for n in range(3)])
    assert [await seen.refuses(f"u{n}") for n in range(3)] == [False, True, True]

"""A budget is exhausted while all it does is refuse; admitting somebody ends that."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_cli.refusals_seen import RefusalsSeen
from signalbox_ledger.database import Database
from signalbox_ledger.opening import open_database
from support.recorded_runs import NOON, make_run, record, refused_run

BUDGET = "signalbox/day"
WINDOW = NOON // 1000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path / "ledger.db")) as database:
        yield database


@pytest.fixture
def seen(ledger: Database, tmp_path: Path) -> Iterator[RefusalsSeen]:
    following = RefusalsSeen(tmp_path / "ledger.db")
    yield following
    following.close()


def refusal(name: str, at: int, subject: str = "") -> object:
    shortage = {"budget": BUDGET, "subject": subject}
    return refused_run(name, started_at=NOON + at, decision={"shortage": shortage})


def refuses(seen: RefusalsSeen, window: int = WINDOW) -> bool:
    seen.read()
    return seen.refused_since(BUDGET, window)


def test_a_refusal_counts_in_its_window_only(ledger: Database, seen: RefusalsSeen) -> None:
    assert not refuses(seen)
    record(ledger, [refusal("r_1", 500)])
    assert refuses(seen)
    assert not refuses(seen, WINDOW + 60)


def test_who_is_admitted_afterwards_shows_that_something_is_left(
    ledger: Database, seen: RefusalsSeen
) -> None:
    record(ledger, [refusal("r_1", 500), make_run("r_2", started_at=NOON + 400)])
    assert refuses(seen)
    record(ledger, [make_run("r_3", started_at=NOON + 900)])
    assert not refuses(seen)
    record(ledger, [refusal("r_4", 1_000)])
    assert refuses(seen)


def test_another_agent_that_is_admitted_says_nothing(ledger: Database, seen: RefusalsSeen) -> None:
    other = make_run("r_2", started_at=NOON + 900, agent="signalbox/other")
    record(ledger, [refusal("r_1", 500), other])
    assert refuses(seen)


def test_one_sessions_end_is_not_the_budgets(ledger: Database, seen: RefusalsSeen) -> None:
    record(ledger, [refusal("r_1", 500, "session-7")])
    assert not refuses(seen)


def test_without_a_ledger_nothing_is_known(tmp_path: Path) -> None:
    assert not refuses(RefusalsSeen(tmp_path / "none.db"))

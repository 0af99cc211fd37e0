"""Whoever follows the record misses no run, in whatever order settlements commit."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from signalbox_ledger import positions
from signalbox_ledger.budget_signals import budget_signals
from signalbox_ledger.database import Database
from signalbox_ledger.opening import open_database
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.run_store import insert_runs
from support.postgres import PostgresServer
from support.recorded_runs import make_run, record, refused_run, undone


@contextmanager
def opened(dsn: str) -> Iterator[Database]:
    with closing(open_database(dsn)) as database:
        yield database


def followed(reader: LedgerReader, after: int) -> list[str]:
    """Both ways of following say the same."""
    runs = reader.follow(after)
    assert [run.position for run in runs] == [
        signal.position for signal in budget_signals(reader, after)
    ]
    return [run.run_id for run in runs]


def test_a_run_that_commits_late_is_waited_for(postgres_ledger: str) -> None:
    with (
        opened(postgres_ledger) as early,
        opened(postgres_ledger) as late,
        LedgerReader(postgres_ledger) as reader,
    ):
        record(early, [make_run("r_0")])
        start = reader.last_position()
        with late.transaction():
            insert_runs(late, [make_run("r_late", holder="b")])
            record(early, [make_run("r_early", holder="a")])
            assert "r_early" in [run.run_id for run in reader.runs()]
            assert followed(reader, start) == [], "r_late stands before it and is not there yet"
            assert reader.last_position() == start
        assert followed(reader, start) == ["r_late", "r_early"]


def test_a_run_that_never_commits_is_not_waited_for(postgres_ledger: str) -> None:
    with (
        opened(postgres_ledger) as one,
        opened(postgres_ledger) as other,
        LedgerReader(postgres_ledger) as reader,
    ):
        with undone(other):
            insert_runs(other, [make_run("r_undone", holder="b")])
            record(one, [make_run("r_1", holder="a")])
            assert followed(reader, 0) == []
        assert followed(reader, 0) == ["r_1"]


def test_followers_see_every_run_of_many_authorities_once_and_in_order(
    postgres_ledger: str,
) -> None:
    writers, batches = 4, 12

    def settle(number: int) -> None:
        chance = random.Random(number)
        with opened(postgres_ledger) as database:
            for batch in range(batches):
                runs = [
                    make_run(f"r_{number}_{batch}_{n}", holder=f"h-{number}")
                    for n in range(chance.randint(1, 4))
                ]
                record(database, runs)

    threads = [threading.Thread(target=settle, args=(number,)) for number in range(writers)]
    with opened(postgres_ledger) as database, LedgerReader(postgres_ledger) as reader:
        for thread in threads:
            thread.start()
        seen: list[tuple[int, str]] = []
        while True:
            was_done = not any(thread.is_alive() for thread in threads)
            found = reader.follow(seen[-1][0] if seen else 0, limit=7)
            seen += [(run.position, run.run_id) for run in found]
            if was_done and not found:
                break
        recorded = database.query("SELECT position, run_id FROM inference_run ORDER BY position")
        ((counted,),) = database.query("SELECT sum(runs) FROM period_sum WHERE span = 86400000")
    assert seen == recorded
    assert counted == len(recorded)


def test_sums_of_many_authorities_are_what_the_facts_say(
    postgres_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each adds to rows of its own, and none counts what another one wrote meanwhile."""
    with opened(postgres_ledger) as one, opened(postgres_ledger) as other:
        meanwhile = [[make_run("r_2", holder="b"), refused_run("r_3", holder="b")]]
        announce = positions.announce

        def interrupted(database: Database) -> tuple[int, int]:
            behind = announce(database)
            if meanwhile:
                record(other, meanwhile.pop())
            return behind

        monkeypatch.setattr(positions, "announce", interrupted)
        record(one, [make_run("r_1", holder="a"), make_run("r_4", holder="a")])
        totals = one.query(
            "SELECT sum(runs), sum(refused), sum(cost_nano_usd) FROM period_sum GROUP BY span"
        )
        assert totals == [(4, 1, 3 * 9_900)] * 2
        assert one.query("SELECT count(DISTINCT writer) FROM period_sum") == [(2,)]


def test_a_standby_is_no_place_to_follow_from(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as primary, primary.standby(tmp_path) as standby:
        name = primary.create_database()
        with opened(primary.dsn(name)) as database:
            record(database, [make_run("r_1")])
        standby.caught_up(primary)
        with LedgerReader(standby.dsn(name)) as reader:
            assert [run.run_id for run in reader.runs()] == ["r_1"]
            with pytest.raises(LedgerUnreadableError, match="followed on the primary"):
                reader.follow(0)

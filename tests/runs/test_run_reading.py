"""Reading the record: while it grows, after the end, and never by a way that could change it."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger.database import Database
from signalbox_ledger.opening import open_database
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader, RunFilter
from signalbox_ledger.run_store import insert_runs
from support.recorded_runs import NOON, make_attempt, make_charge, make_run, record, refused_run

WRITER = """
import os, pathlib, signal, sys
from signalbox_ledger.opening import open_database
from signalbox_ledger.run_store import insert_runs
from support.recorded_runs import make_run, record
where = sys.argv[1]
ledger = open_database(where if where.startswith("postgresql:") else pathlib.Path(where))
record(ledger, [make_run("r_settled")])
with ledger.transaction():
    insert_runs(ledger, [make_run("r_unsettled")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def ids(found: list) -> list[str]:
    return [run.run_id for run in found]


def test_runs_are_listed_newest_first(ledger: Database, reader: LedgerReader) -> None:
    instants = {"r_b": NOON + 2, "r_a": NOON, "r_d": NOON + 3, "r_c": NOON + 2}
    record(ledger, [make_run(run_id, started_at=at) for run_id, at in instants.items()])
    assert ids(reader.runs()) == ["r_d", "r_c", "r_b", "r_a"]
    assert ids(reader.runs(limit=2)) == ["r_d", "r_c"]
    assert reader.runs(limit=0) == []
    assert reader.runs(limit=-1) == []


FILTERS: list[tuple[RunFilter, list[str]]] = [
    (RunFilter(agent="signalbox/coder"), ["r_coder"]),
    (RunFilter(domain="signalbox/retail"), ["r_coder"]),
    (RunFilter(focus_account="6410"), ["r_coder"]),
    (RunFilter(workload="code"), ["r_coder"]),
    (RunFilter(model="signalbox/opus"), ["r_coder"]),
    (RunFilter(lane="us"), ["r_coder"]),
    (RunFilter(region="us-east"), ["r_coder"]),
    (RunFilter(user="u-2"), ["r_coder"]),
    (RunFilter(session="s-2"), ["r_coder"]),
    (RunFilter(outcome="refused"), ["r_refused"]),
    (RunFilter(outcome="answered"), ["r_plain", "r_coder"]),
    (RunFilter(refusal="budget_exhausted"), ["r_refused"]),
    (RunFilter(asset="signalbox/ledgers"), ["r_refused"]),
    (RunFilter(asset="signalbox/ledgers", agent="signalbox/coder"), []),
    (RunFilter(since=NOON), ["r_refused", "r_plain"]),
    (RunFilter(until=NOON), ["r_coder"]),
    (RunFilter(user="' OR 1=1 --"), []),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS, ids=str)
def test_a_filter_leaves_exactly_its_runs(
    ledger: Database, reader: LedgerReader, wanted: RunFilter, expected: list[str]
) -> None:
    coder = make_run(
        "r_coder",
        started_at=NOON - 1,
        agent="signalbox/coder",
        domain="signalbox/retail",
        focus_account="6410",
        workload="code",
        model="signalbox/opus",
        lane="us",
        region="us-east",
        user="u-2",
        session="s-2",
    )
    refused = refused_run(
        "r_refused", started_at=NOON + 1, data_assets=["signalbox/ledgers", "signalbox/ledgers"]
    )
    record(ledger, [coder, make_run("r_plain"), refused])
    assert ids(reader.runs(wanted)) == expected
    assert sorted(ids(reader.follow(0, wanted))) == sorted(expected)


def test_the_beginning_of_an_id_finds_its_runs(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run(run_id) for run_id in ("r_1", "r_12", "r_13", "r_2", "r%")])
    assert reader.ids("r_1") == ["r_1"], "a whole id is that run, even where others go on"
    assert reader.ids("r_") == ["r_1", "r_12", "r_13", "r_2"], "_ is a letter here, no wildcard"
    assert reader.ids("r_", limit=1) == ["r_1"]
    assert reader.ids("%") == []
    assert reader.ids("x") == []
    assert reader.run("x") is None


def test_following_sees_every_run_once_in_order_of_settlement(
    ledger: Database, reader: LedgerReader
) -> None:
    record(ledger, [make_run("r_0")])
    position = reader.last_position()
    assert reader.follow(position) == []
    record(ledger, [make_run("r_late", started_at=NOON - 5), make_run("r_1")])
    first = reader.follow(position, limit=1)
    assert ids(first) == ["r_late"]
    assert ids(reader.follow(first[-1].position)) == ["r_1"]


def test_a_run_that_is_being_settled_is_not_seen_before_its_commit(
    ledger: Database, reader: LedgerReader
) -> None:
    with ledger.transaction():
        insert_runs(ledger, [make_run("r_1")])
        assert reader.runs() == []
    assert ids(reader.runs()) == ["r_1"]


def test_a_reader_does_not_hold_the_authority_up(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run("r_1")])
    reader.runs()
    record(ledger, [make_run("r_2")])
    assert ids(reader.runs()) == ["r_2", "r_1"]


def test_the_record_is_read_after_the_authority_has_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a state?#%folder" / "ledger.db"
    path.parent.mkdir()
    with closing(open_database(path)) as database:
        record(database, [make_run("r_1")])
    with LedgerReader(path) as reader:
        assert ids(reader.runs()) == ["r_1"]


def test_the_record_is_read_after_the_authority_was_killed(where: Path | str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", WRITER, str(where)],
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=60,
    )
    assert killed.returncode < 0
    if isinstance(where, Path):
        log = where.with_name("ledger.db-wal")
        assert log.stat().st_size > 0, "the runs are still in the log"
    with LedgerReader(where) as reader:
        assert ids(reader.runs()) == ["r_settled"]


def test_a_reader_cannot_write(ledger: Database, reader: LedgerReader) -> None:
    with pytest.raises(LedgerUnreadableError, match=r"read-?only"):
        reader.database.query("DELETE FROM period_sum RETURNING span")


def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadableError, match="no ledger at"):
        LedgerReader(tmp_path / "ledger.db")
    assert not (tmp_path / "ledger.db").exists(), "looking must not create one"
    (tmp_path / "ledger.db").write_bytes(b"These are notes, not a database. " * 40)
    with pytest.raises(LedgerUnreadableError, match="cannot read the ledger"):
        LedgerReader(tmp_path / "ledger.db")
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(LedgerUnreadableError, match="no tables of a ledger"):
        LedgerReader(tmp_path / "other.db")


def test_one_run_comes_whole(ledger: Database, reader: LedgerReader) -> None:
    run = make_run(
        attempts=[make_attempt(1, outcome="throttled", usage=None, cost_nano=0), make_attempt(2)],
        charges=[make_charge(2), make_charge(2, meter="output")],
        cost_nano=19_800,
    )
    record(ledger, [make_run("r_0"), run, make_run("r_2")])
    recorded = reader.run("r_1")
    assert recorded is not None
    assert recorded.run == run
    assert (recorded.position, recorded.corrections) == (2, [])

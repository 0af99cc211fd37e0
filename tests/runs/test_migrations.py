"""Tables come to be in one way and agree in both databases; older ledgers lose nothing."""

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import signalbox_ledger.migrations
from signalbox_ledger import run_rows, run_sums
from signalbox_ledger.database import Database, DatabaseError
from signalbox_ledger.migrate import HEAD, VERSION_TABLE, SchemaError
from signalbox_ledger.migrations import upgrade
from signalbox_ledger.migrations.versions import meters_of_their_own
from signalbox_ledger.opening import connect, open_database
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.run_store import RecordRefusedError
from support.postgres import PostgresServer
from support.recorded_runs import (
    NOON,
    correct,
    make_attempt,
    make_charge,
    make_run,
    record,
    refused_run,
)

BEFORE = Path(__file__).with_name("before_migrations.sql")
FACTS = ("inference_run", "attempt", "charge_record", "eval_result", "run_data_asset")

POSTGRES_COLUMNS = """
    SELECT table_name, column_name, is_nullable = 'YES', data_type, column_default, is_identity,
           collation_name
      FROM information_schema.columns WHERE table_schema = 'public'
     ORDER BY table_name, ordinal_position"""
POSTGRES_RULES = """
    SELECT conrelid::regclass::text, contype::text,
           replace(pg_get_constraintdef(oid), ' NOT VALID', '')
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3"""
POSTGRES_REST = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class
     WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
     ORDER BY 1"""
SQLITE_ALL = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE ? ORDER BY type, name"


def described(database: Database) -> list[object]:
    """All that the tables are, but for the table of the revision."""
    if database.dialect == "sqlite":
        return list(database.query(SQLITE_ALL, (f"%{VERSION_TABLE}%",)))
    parts = [database.query(part) for part in (POSTGRES_COLUMNS, POSTGRES_RULES, POSTGRES_REST)]
    return [row for part in parts for row in part if VERSION_TABLE not in str(row)]


@pytest.fixture(params=["sqlite", "postgresql"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where no ledger is yet."""
    if request.param == "sqlite":
        return tmp_path / "new.db"
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of the release before migrations, with runs, charges, budgets and slices in it."""
    with closing(open_database(tmp_path / "new.db")) as ledger:
        record(ledger, [make_run("r_1"), refused_run("r_2"), make_run("r_3", started_at=NOON + 1)])
        correct(ledger, "r_1", [make_charge(kind="correction", cost=0, base=0, premium=0)], NOON)
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(BEFORE.read_text())
        connection.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
        for table in (*FACTS, "period_sum"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(names)
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM new.{table}")
        connection.execute("UPDATE ledger_state SET generation = 7")
        for statement in (
            "INSERT INTO holder VALUES ('h', 'proxy-0', 12, 0, 5)",
            "INSERT INTO budget (id, spec, generation) VALUES ('ns/day', '{}', 7)",
            "INSERT INTO account VALUES ('ns/day', 'usd/day/UTC', '', 1, 2, 100, 100, 60, 3)",
            "INSERT INTO slice VALUES ('s', 'h', 'ns/day', 'usd/day/UTC', '', 1, 60, 20, 0)",
            "INSERT INTO slice_loss VALUES ('l', 'h', 'ns/day', 'usd/day/UTC', '', 1, 5, 9)",
            "INSERT INTO refused_record VALUES ('h', 10, 'r_9', 'no', x'00')",
        ):
            connection.execute(statement)
    return path


def rows_by_table(path: Path) -> dict[str, list[dict[str, object]]]:
    with closing(connect(path, read_only=True)) as database:
        names = [
            name
            for (name,) in database.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        return {name: database.query_named(f"SELECT * FROM {name}") for name in names}


def test_a_new_ledger_is_what_all_revisions_together_make(
    nowhere: Path | str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    other: Path | str = tmp_path / "other.db"
    if isinstance(nowhere, str):
        other = postgres_server.dsn(postgres_server.create_database())
    upgrade.upgrade(other)
    with closing(open_database(nowhere)) as new, closing(open_database(other)) as upgraded:
        assert described(new) == described(upgraded)
        assert new.query(f"SELECT * FROM {VERSION_TABLE}") == [(HEAD,)]
        assert upgraded.query(f"SELECT * FROM {VERSION_TABLE}") == [(HEAD,)]


def test_this_release_knows_its_newest_revision_and_there_is_no_way_down() -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(signalbox_ledger.migrations.__file__).parent)
    )
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert not [one for one in scripts.walk_revisions() if hasattr(one.module, "downgrade")]


def test_both_databases_have_the_same_tables_columns_and_rules(
    tmp_path: Path, postgres_ledger: str
) -> None:
    with (
        closing(open_database(tmp_path / "l.db")) as sqlite,
        closing(open_database(postgres_ledger)) as postgres,
    ):
        texts = dict(sqlite.query("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))
        in_postgres = postgres.query(POSTGRES_COLUMNS)
        rules = postgres.query(POSTGRES_RULES)
        assert "inference_run" in texts
        for table, text in texts.items():
            here = sqlite.query(f"PRAGMA table_info({table})")
            there = [row[1:] for row in in_postgres if row[0] == table]
            assert [row[1] for row in here] == [row[0] for row in there]
            nullable = [bool(not row[3] and not row[5]) for row in here]
            assert nullable == [row[1] for row in there]
            checks = [rule for name, kind, rule in rules if (name, kind) == (table, "c")]
            assert len(checks) == len(re.findall(r"\bCHECK \(", text)), checks
            foreign = [rule for name, kind, rule in rules if (name, kind) == (table, "f")]
            assert len(foreign) == text.count("REFERENCES")
        assert {row[3] for row in in_postgres if row[0] in texts} - {"character varying"} == {
            *("bigint", "bytea", "text")
        }


def test_text_sorts_by_its_bytes_in_postgresql_as_in_sqlite(postgres_ledger: str) -> None:
    with closing(open_database(postgres_ledger)) as ledger:
        found = ledger.query(
            "SELECT table_name, column_name FROM information_schema.columns WHERE"
            " table_schema = 'public' AND data_type = 'text' AND collation_name <> 'C'"
            " AND table_name <> ?",
            (VERSION_TABLE,),
        )
    assert found == []


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("inference_run", run_rows.RUN_COLUMNS),
        ("attempt", run_rows.ATTEMPT_COLUMNS),
        ("eval_result", run_rows.VERDICT_COLUMNS),
        ("run_data_asset", run_rows.ASSET_COLUMNS),
        ("period_sum", ("span", "timestamp", *run_sums.SUM_KEY, "writer", *run_sums.SUM_MEASURES)),
    ],
)
def test_what_is_written_is_every_column_that_there_is(
    ledger: Database, table: str, columns: tuple[str, ...]
) -> None:
    if ledger.dialect == "sqlite":
        names = [row[1] for row in ledger.query(f"PRAGMA table_info({table})")]
    else:
        names = [row[1] for row in ledger.query(POSTGRES_COLUMNS) if row[0] == table]
    assert sorted(set(names) - {"position"}) == sorted(columns)


def test_a_ledger_from_before_migrations_comes_along_without_loss(old: Path) -> None:
    before = rows_by_table(old)
    with closing(open_database(old)) as ledger, closing(open_database(old)):
        assert ledger.query(f"SELECT * FROM {VERSION_TABLE}") == [(HEAD,)]
        assert ledger.query("PRAGMA foreign_key_check") == []
        assert ledger.query("PRAGMA integrity_check") == [("ok",)]
    after = rows_by_table(old)
    assert before["inference_run"]
    for table, rows in before.items():
        assert len(after[table]) == len(rows)
        for kept, row in zip(after[table], rows, strict=True):
            row.pop("journal_offset", None)
            assert kept | row == kept, "every value of before is there"
    assert after["settled_journal"] == [{"holder": "h", "journal_offset": 12}]
    with LedgerReader(old) as reader:
        recorded = reader.run("r_1")
    assert recorded is not None
    assert recorded.run == make_run("r_1")


def test_a_ledger_that_was_upgraded_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    with (
        closing(open_database(old)) as upgraded,
        closing(open_database(tmp_path / "fresh.db")) as fresh,
    ):
        assert described(upgraded) == described(fresh)
        record(upgraded, [make_run("r_4")])
        ((last,),) = upgraded.query("SELECT position FROM inference_run WHERE run_id = 'r_4'")
        assert last == 4, "positions go on where they were"


NARROW = " OR ".join(f"meter = '{name}'" for name in ("input", "cached_input", "output"))


def make_narrow(where: Path | str) -> None:
    """Put a ledger back to revision 0001, which knew meters of tokens only."""
    if isinstance(where, str):
        with psycopg.connect(where, autocommit=True) as connection:
            table = "ALTER TABLE charge_record"
            connection.execute(f"{table} DROP CONSTRAINT charge_record_meter_check")
            connection.execute(f"{table} ADD CONSTRAINT charge_record_meter_check CHECK ({NARROW})")
            connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")
        return
    with closing(sqlite3.connect(where, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'charge_record'",
            (meters_of_their_own._SINCE, meters_of_their_own._BEFORE),
        )
        connection.execute("PRAGMA writable_schema = OFF")
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")


def test_a_ledger_that_knew_tokens_only_records_images_now(
    nowhere: Path | str, tmp_path: Path
) -> None:
    with closing(open_database(nowhere)) as new:
        record(new, [make_run("r_1")])
        wide = described(new)
    make_narrow(nowhere)
    with closing(connect(nowhere, read_only=True)) as narrow:
        assert described(narrow) != wide
    with closing(open_database(nowhere)) as upgraded:
        assert described(upgraded) == wide
        images = make_charge(meter="images", quantity=2, unit_price=40_000_000)
        record(upgraded, [make_run("r_2", charges=[images])])
        ((found,),) = upgraded.query("SELECT meter FROM charge_record WHERE run_id = 'r_2'")
        assert found == "images"
        with pytest.raises(RecordRefusedError):
            correct(upgraded, "r_1", [make_charge(meter="gold", kind="correction")], NOON)


def test_an_upgrade_of_a_fleet_s_ledger_looks_at_no_row(postgres_dsn: str) -> None:
    """The release before goes on charging: nobody reads a long table while it is locked. Here one
    row would not pass, and nobody notices; one that is new would not either, and is refused."""
    with closing(open_database(postgres_dsn)) as new:
        record(new, [make_run("r_1")])
    make_narrow(postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE charge_record DROP CONSTRAINT charge_record_meter_check")
        connection.execute("ALTER TABLE charge_record DISABLE TRIGGER USER")
        connection.execute("UPDATE charge_record SET meter = 'gold'")
        connection.execute("ALTER TABLE charge_record ENABLE TRIGGER USER")
        connection.execute(
            f"ALTER TABLE charge_record ADD CONSTRAINT charge_record_meter_check CHECK ({NARROW})"
            " NOT VALID"
        )
    with closing(open_database(postgres_dsn)) as upgraded:
        assert upgraded.query(f"SELECT * FROM {VERSION_TABLE}") == [(HEAD,)]
        with pytest.raises(RecordRefusedError):
            correct(upgraded, "r_1", [make_charge(meter="gold", kind="correction")], NOON)


def test_a_ledger_without_the_format_of_attempts_gets_it_and_keeps_its_rows(
    nowhere: Path | str,
) -> None:
    with closing(open_database(nowhere)) as new:
        record(new, [make_run("r_1")])
        wide = described(new)
        new.execute("ALTER TABLE attempt DROP COLUMN wire_format")
        new.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0002'")
    with closing(open_database(nowhere)) as upgraded:
        assert described(upgraded) == wide
        run = make_run("r_2", attempts=[make_attempt(1, wire_format="bedrock")])
        record(upgraded, [run])
        found = upgraded.query("SELECT run_id, wire_format FROM attempt ORDER BY run_id")
        assert found == [("r_1", ""), ("r_2", "bedrock")]
        without = [name for name in run_rows.ATTEMPT_COLUMNS if name != "wire_format"]
        columns = ", ".join(name for name in without if name not in ("run_id", "number"))
        upgraded.execute(
            f"INSERT INTO attempt (run_id, number, {columns}) SELECT run_id, 2, {columns} "
            "FROM attempt WHERE run_id = 'r_2'"
        )
        ((written,),) = upgraded.query("SELECT wire_format FROM attempt WHERE number = 2")
        assert written == "", "the release before still writes while a fleet is renewed"


def test_a_record_from_before_formats_were_kept_has_the_digest_that_it_had() -> None:
    old = make_run("r_1")
    assert b"wire_format" not in msgspec.json.encode(old)
    assert (
        run_rows.storable(old)[1]
        != run_rows.storable(make_run("r_1", attempts=[make_attempt(1, wire_format="openai")]))[1]
    )


def test_the_release_before_refuses_a_ledger_that_was_upgraded(old: Path) -> None:
    """It takes user_version 1 for its own, and anything else for another release's."""
    open_database(old).close()
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE attempt ADD COLUMN unheard_of INTEGER")
    with closing(connect(old, read_only=True)) as database:
        before = described(database)
    with pytest.raises(DatabaseError, match="cannot be brought up to date"):
        open_database(old)
    with closing(connect(old, read_only=True)) as database:
        assert described(database) == before
        assert database.query("PRAGMA user_version") == [(1,)]


@pytest.mark.parametrize("revision", ["0003x", "9999"])
def test_a_ledger_of_which_nobody_knows_who_may_work_on_it_is_refused(
    ledger: Database, where: Path | str, revision: str
) -> None:
    with ledger.transaction():
        ledger.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (revision,))
        ledger.execute("ALTER TABLE ledger_state DROP COLUMN oldest_writer")
    with pytest.raises(SchemaError, match=f"revision {revision}, .*: use the one that wrote it"):
        open_database(where)
    with pytest.raises(LedgerUnreadableError, match=f"revision {revision}, this release"):
        LedgerReader(where)


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 77")
    with pytest.raises(SchemaError, match="not a ledger"):
        open_database(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


def test_authorities_that_start_at_once_make_the_tables_once(postgres_dsn: str) -> None:
    """A SQLite file has one authority, which owns a lock beside it."""
    with ThreadPoolExecutor(4) as pool:
        starts = [pool.submit(lambda: open_database(postgres_dsn).close()) for _ in range(4)]
    for start in starts:
        start.result()
    with closing(open_database(postgres_dsn)) as ledger:
        assert ledger.query(f"SELECT * FROM {VERSION_TABLE}") == [(HEAD,)]


def test_opening_a_ledger_that_is_up_to_date_imports_nothing_dear(
    ledger: Database, where: Path | str
) -> None:
    code = (
        "import pathlib, sys; from signalbox_ledger.opening import open_database; where ="
        " sys.argv[1]; open_database(where if '://' in where else pathlib.Path(where)).close();"
        " print(*sorted({'alembic', 'sqlalchemy', 'psycopg'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(where)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split() == (["psycopg"] if isinstance(where, str) else [])

"""What the stores stand on: two databases that behave alike, whatever goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger.database import (
    ConflictError,
    Database,
    DatabaseError,
    DatabaseUnavailableError,
    RuleBrokenError,
)
from signalbox_ledger.opening import connect
from support.postgres import PostgresServer
from support.recorded_runs import undone

SECRET = "sesame-4711"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a database without a table is."""
    if request.param == "sqlite":
        return tmp_path / "empty.db"
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def database(empty: Path | str) -> Iterator[Database]:
    """A table of numbers and words."""
    with closing(connect(empty)) as opened:
        kind = " STRICT" if opened.dialect == "sqlite" else ""
        big = "INTEGER" if opened.dialect == "sqlite" else "BIGINT"
        blob = "BLOB" if opened.dialect == "sqlite" else "BYTEA"
        with opened.transaction():
            opened.execute(
                f"CREATE TABLE t (n {big} PRIMARY KEY CHECK (n >= 0), word TEXT, data {blob}){kind}"
            )
        yield opened


def words(database: Database) -> list[tuple[int, str]]:
    return [(n, word) for n, word in database.query("SELECT n, word FROM t ORDER BY n")]


def test_a_batch_says_of_each_of_its_rows_what_it_did(database: Database) -> None:
    with database.transaction():
        database.insert("t", ("n", "word"), [(1, "a"), (2, "b"), (3, "b")])
        changed = database.execute_many(
            "UPDATE t SET word = ? WHERE word = ?", [("c", "b"), ("d", "x"), ("e", "a")]
        )
        found = database.query_many("SELECT n FROM t WHERE word = ? ORDER BY n", [("c",), ("x",)])
        assert changed == [2, 0, 1]
        assert found == [[(2,), (3,)], []]
        assert database.execute_many("UPDATE t SET word = ? WHERE n = ?", []) == []
        assert database.query_many("SELECT n FROM t WHERE n = ?", []) == []
        database.insert("t", ("n", "word"), [])


def test_a_list_is_one_parameter(database: Database) -> None:
    awkward = ["", "'", '"', "a,b", "{}", "%", "ü\n\t\\"]
    with database.transaction():
        database.insert("t", ("n", "word"), list(enumerate([*awkward, "other"])))
        condition = database.any_of("word")
        found = database.query(
            f"SELECT word FROM t WHERE {condition} ORDER BY n", (database.listed(awkward),)
        )
        none = database.query(f"SELECT n FROM t WHERE {condition}", (database.listed([]),))
    assert found == [(word,) for word in awkward]
    assert none == []


def test_values_come_back_as_they_went_in(database: Database) -> None:
    rows = [
        (0, "\t\n\\N \\. %s ? ''", bytes(range(256))),
        (2**63 - 1, None, b""),
        (7, "\N{GRINNING FACE}\x01", None),
    ]
    with database.transaction():
        database.insert("t", ("n", "word", "data"), rows)
        database.execute("INSERT INTO t (n, word, data) VALUES (?, ?, ?)", (5, *rows[0][1:]))
    found = database.query("SELECT n, word, data FROM t")
    assert sorted(found) == sorted([*rows, (5, *rows[0][1:])])
    named = database.query_named("SELECT n, word FROM t WHERE n = ? % 10", (17,))
    assert named == [{"n": 7, "word": rows[2][1]}]


def test_sums_are_whole_numbers(database: Database) -> None:
    with database.transaction():
        database.insert("t", ("n",), [(2**62,), (2**61,)])
        ((total, none),) = database.query("SELECT sum(n), sum(n) FILTER (WHERE n < 0) FROM t")
    assert (total, none) == (2**62 + 2**61, None)
    assert type(total) is int


def break_a_rule(database: Database, row: tuple[int, str], *, in_bulk: bool) -> None:
    with database.savepoint():
        database.execute("INSERT INTO t (n, word) VALUES (5, 'gone')")
        with database.savepoint():
            if in_bulk:
                database.insert("t", ("n", "word"), [(6, SECRET), row])
            else:
                database.execute("INSERT INTO t (n, word) VALUES (?, ?)", row)


@pytest.mark.parametrize(
    "row",
    [(-1, "a"), (1, "twice"), (2**63, "a"), (9, "\ud800")],
    ids=["check", "key", "64", "text"],
)
@pytest.mark.parametrize("in_bulk", [True, False], ids=["bulk", "single"])
def test_a_broken_rule_is_told_without_values_and_undoes_its_savepoint_alone(
    database: Database, row: tuple[int, str], in_bulk: bool
) -> None:
    with database.transaction():
        database.insert("t", ("n", "word"), [(1, "kept")])
        with pytest.raises(RuleBrokenError) as broken:
            break_a_rule(database, row, in_bulk=in_bulk)
        database.insert("t", ("n", "word"), [(2, "kept")])
    assert SECRET not in str(broken.value)
    assert words(database) == [(1, "kept"), (2, "kept")]


def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with undone(database):
        database.execute("INSERT INTO t (n) VALUES (1)")
    assert words(database) == []
    with database.transaction():
        database.execute("INSERT INTO t (n, word) VALUES (2, 'b')")
    assert words(database) == [(2, "b")]


def test_a_transaction_is_not_committed_in_part(database: Database) -> None:
    """In PostgreSQL a statement that failed voids all of it, even if somebody looked away."""
    broken = 0
    try:
        with database.transaction():
            database.execute("INSERT INTO t (n, word) VALUES (1, 'a')")
            try:
                database.execute("INSERT INTO t (n) VALUES (-1)")
            except RuleBrokenError:
                broken += 1
    except DatabaseError:
        broken += 1
    assert broken == (1 if database.dialect == "sqlite" else 2)
    assert words(database) == ([(1, "a")] if database.dialect == "sqlite" else [])


def test_a_statement_that_is_wrong_is_an_error_of_ours(database: Database) -> None:
    with pytest.raises(DatabaseError), database.transaction():
        database.query("SELECT nothing FROM nowhere")
    assert database.query("SELECT 1") == [(1,)]


def test_a_commit_of_sqlite_is_on_the_disk_and_its_rules_hold(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "l.db")) as database:
        found = {
            name: database.query(f"PRAGMA {name}")[0][0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
    }


def test_the_clock_is_in_milliseconds(database: Database) -> None:
    assert abs(database.now_ms() - time.time() * 1000) < 60_000


def test_a_reader_cannot_write(database: Database, empty: Path | str) -> None:
    with closing(connect(empty, read_only=True)) as reader:
        assert reader.query("SELECT count(*) FROM t") == [(0,)]
        with pytest.raises(DatabaseError):
            reader.execute("INSERT INTO t (n) VALUES (1)")
    assert words(database) == []


def test_a_lost_connection_is_told_and_does_not_commit(
    postgres_dsn: str, postgres_server: PostgresServer
) -> None:
    with closing(connect(postgres_dsn)) as database:
        ((pid,),) = database.query("SELECT pg_backend_pid()")
        with pytest.raises(DatabaseUnavailableError):
            cut_off(database, lambda: postgres_server.query(TERMINATE, (pid,)))
        with pytest.raises(DatabaseUnavailableError):
            database.query("SELECT 1")
    with closing(connect(postgres_dsn)) as database:
        assert database.query("SELECT to_regclass('made')") == [(None,)]


TERMINATE = "SELECT pg_terminate_backend(%s, 5000)"


def cut_off(database: Database, terminate: Callable[[], object]) -> None:
    with database.transaction():
        database.execute("CREATE TABLE made (n BIGINT)")
        terminate()
        database.query("SELECT 1")


def test_two_transactions_in_each_others_way_end_in_a_conflict(postgres_dsn: str) -> None:
    with closing(connect(postgres_dsn)) as one, closing(connect(postgres_dsn)) as other:
        with one.transaction():
            one.execute("CREATE TABLE t (n BIGINT PRIMARY KEY, word TEXT)")
            one.insert("t", ("n",), [(1,), (2,)])
        both = threading.Barrier(2, timeout=60)
        failed: list[Exception] = []

        def lock(database: Database, first: int, second: int) -> None:
            try:
                with database.transaction():
                    database.execute("UPDATE t SET word = 'x' WHERE n = ?", (first,))
                    both.wait()
                    database.execute("UPDATE t SET word = 'x' WHERE n = ?", (second,))
            except DatabaseError as error:
                failed.append(error)

        thread = threading.Thread(target=lock, args=(other, 2, 1))
        thread.start()
        lock(one, 1, 2)
        thread.join()
        assert [type(error) for error in failed] == [ConflictError]
        assert one.query("SELECT count(*) FROM t WHERE word = 'x'") == [(2,)]


def test_a_round_trip_that_failed_twice_leaves_nothing_behind(postgres_dsn: str) -> None:
    """The driver prepares what is used often; what it had begun to prepare was never there."""
    with closing(connect(postgres_dsn)) as database:
        with database.transaction():
            database.execute("CREATE TABLE kept (id bigint PRIMARY KEY)")
            database.execute("INSERT INTO kept VALUES (1)")
        asked = ("SELECT count(*) FROM kept WHERE id = ?", (1,))
        for again in range(20):
            for _ in range(2):
                with pytest.raises(RuleBrokenError), database.transaction():
                    database.together([("INSERT INTO kept VALUES (?)", (1,)), asked])
            with database.transaction():
                assert database.together([asked, asked])[1].rows == [(1,)], again


def test_nothing_waits_for_a_server_that_went_silent(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as server:
        dsn = server.dsn(server.create_database())
        with closing(connect(dsn, answer_seconds=1)) as database:
            server.freeze()
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailableError), database.transaction():
                database.query("SELECT 1")
            with pytest.raises(DatabaseUnavailableError):
                connect(dsn, answer_seconds=1)
            waited = time.monotonic() - started
            server.thaw()
        assert waited < 60


def test_a_statement_that_takes_too_long_is_given_up(postgres_dsn: str) -> None:
    with closing(connect(postgres_dsn, answer_seconds=1)) as database:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError, match="timeout"), database.transaction():
            database.query("SELECT pg_sleep(60)")
        assert time.monotonic() - started < 50


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:{SECRET}@[::1:b/x?y",
        f"postgresql://u:{SECRET}@127.0.0.1:1/x",
        f"host=127.0.0.1 port=1 user=u password={SECRET}",
        f"password={SECRET} nonsense",
        f"postgresql://u:{SECRET}@127.0.0.1:1/x?sslmode={SECRET}",
        f"postgresql://u:half@{SECRET}@127.0.0.1:1/x",
        f"postgresql://u:half/{SECRET}@127.0.0.1:1/x",
    ],
)
def test_no_message_repeats_a_password(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailableError) as refused:
        connect(dsn)
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__
    assert refused.value.__suppress_context__


def test_a_wrong_password_is_told_without_it(postgres_server: PostgresServer) -> None:
    right = postgres_server.dsn()
    password = right.split(":")[2].split("@")[0]
    with pytest.raises(DatabaseUnavailableError, match="authentication failed") as refused:
        connect(right.replace(password, SECRET))
    assert SECRET not in str(refused.value)


def test_the_identity_is_the_servers_and_changes_with_its_history(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as primary, primary.standby(tmp_path) as standby:
        name = primary.create_database()
        with closing(connect(primary.dsn(name))) as database:
            before = database.identity()
            assert database.identity() == before
        standby.caught_up(primary)
        primary.stop()
        standby.promote()
        with closing(connect(standby.dsn(name))) as database:
            after = database.identity()
    assert before.split("/")[0] == after.split("/")[0]
    assert before != after

"""The record in both databases, as authorities write it: a SQLite file, a PostgreSQL database."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger.database import Database
from signalbox_ledger.opening import open_database
from signalbox_ledger.reading import LedgerReader
from support.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A database with the ledger's tables, to be copied."""
    name = postgres_server.create_database()
    open_database(postgres_server.dsn(name)).close()
    return name


@pytest.fixture
def postgres_ledger(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The DSN of a ledger without a run."""
    name = postgres_server.create_database(template=postgres_template)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where the ledger is."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    return str(request.getfixturevalue("postgres_ledger"))


@pytest.fixture
def ledger(where: Path | str) -> Iterator[Database]:
    """The writing side, as the authority opens it."""
    with closing(open_database(where)) as database:
        yield database


@pytest.fixture
def reader(ledger: Database, where: Path | str) -> Iterator[LedgerReader]:
    """The reading side, opened while the authority has the ledger open."""
    with LedgerReader(where) as opened:
        yield opened

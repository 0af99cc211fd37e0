"""Exports as people save them, and ledgers to compare them with."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger.opening import open_database
from signalbox_ledger.store import Store
from support.postgres import PostgresServer

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """A sample by its name."""
    return lambda name: SAMPLES / name


@pytest.fixture(scope="session")
def ledger_template(postgres_server: PostgresServer) -> str:
    """A PostgreSQL database with the ledger's tables, to be copied."""
    name = postgres_server.create_database()
    open_database(postgres_server.dsn(name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The authority's store on either database."""
    where: Path | str = tmp_path / "ledger.db"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        template: str = request.getfixturevalue("ledger_template")
        where = server.dsn(server.create_database(template=template))
    with closing(Store(partial(open_database, where))) as opened:
        yield opened

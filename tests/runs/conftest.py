"""Ledgers of real SQLite files, as the authority writes them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.run_store import create_tables


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(ledger_path: Path) -> Iterator[sqlite3.Connection]:
    """The writing side, as the authority opens it."""
    with closing(sqlite3.connect(ledger_path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = OFF")
        create_tables(connection)
        yield connection


@pytest.fixture
def reader(ledger: sqlite3.Connection, ledger_path: Path) -> Iterator[LedgerReader]:
    """The reading side, opened while the authority has the file open."""
    with LedgerReader(ledger_path) as opened:
        yield opened

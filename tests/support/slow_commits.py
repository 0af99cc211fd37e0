"""The authority on a database whose commits take longer: what a disk or a standby far away costs.

python -m support.slow_commits MILLISECONDS [options of signalbox_ledger.authority]
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from signalbox_ledger import authority
from signalbox_ledger.postgres_database import PostgresDatabase
from signalbox_ledger.sqlite_database import SqliteDatabase


def slow_down(adapter: Any, seconds: float) -> None:
    whole = adapter.transaction

    @contextmanager
    def transaction(self: Any) -> Iterator[None]:
        inside: AbstractContextManager[None] = whole(self)
        with inside:
            yield
            time.sleep(seconds)

    adapter.transaction = transaction


if __name__ == "__main__":
    for database in (SqliteDatabase, PostgresDatabase):
        slow_down(database, float(sys.argv[1]) / 1000)
    sys.exit(authority.main(sys.argv[2:]))

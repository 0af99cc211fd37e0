"""The last line: what the database refuses, whatever the code before it computed."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox_ledger.accounts import Figures
from signalbox_ledger.protocol import DrawItem
from signalbox_ledger.sqlite_store import SqliteStore
from support.ledgers import budget

ACCOUNT = ("ns/day", budget().basis, "", 0)


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    """A budget of 1000 and one holder."""
    store = SqliteStore(folder / "ledger.db")
    with store.transaction():
        store.configure(1, [budget(limit=1000)], 0)
        store.open_holder("p0", "p0", 0)
    yield store
    store.close()


def draw(store: SqliteStore, slice_id: str, need: int) -> int:
    item = DrawItem(slice_id, "ns/day", "", [need], 0, 0)
    with store.transaction():
        return store.accounts.draw("p0", item, store.specs["ns/day"], now=0).amount


@pytest.mark.parametrize("overrun", [0, 400])
def test_a_draw_computed_on_old_figures_takes_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, overrun: int
) -> None:
    """Two that read one balance and act on it one after the other."""
    before = Figures(limit=1000, granted=0, held=0, overrun=0)
    assert draw(store, "s1", 500) == 500
    with store.transaction():
        store.accounts.add_overrun(ACCOUNT, overrun, end=0, limit=0)
    now = store.accounts.figures(ACCOUNT)
    with monkeypatch.context() as patch:
        patch.setattr(store.accounts, "figures", lambda account: before)
        assert draw(store, "s2", 1000 - overrun // 2) == 0
    assert store.accounts.figures(ACCOUNT) == now


def test_what_providers_billed_above_holds_is_not_drawn_again(store: SqliteStore) -> None:
    assert draw(store, "s1", 500) == 500
    with store.transaction():
        store.accounts.add_overrun(ACCOUNT, 400, end=0, limit=0)
    assert draw(store, "s2", 101) == 0
    assert draw(store, "s3", 100) == 100


@pytest.mark.parametrize(
    "change", ["granted = enforced + 1", "granted = -1", "overrun = -1", "limit_amount = -1"]
)
def test_the_row_refuses_what_no_code_may_write(store: SqliteStore, change: str) -> None:
    draw(store, "s1", 500)
    with pytest.raises(sqlite3.IntegrityError), store.transaction():
        store.connection.execute(f"UPDATE account SET {change}")

"""The last line: what either database refuses, whatever the code before it computed."""

from collections.abc import Callable
from typing import Any

import pytest

from signalbox_ledger.accounts import Figures
from signalbox_ledger.database import ConflictError, RuleBrokenError
from signalbox_ledger.drafting import Draft
from signalbox_ledger.protocol import DrawItem, Hello
from signalbox_ledger.store import Store
from support.ledgers import budget

BUDGET = budget(limit=1000)
ACCOUNT = (BUDGET.id, BUDGET.basis, "", 0)


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """A budget of 1000 and one holder."""
    store = open_store()
    with store.transaction():
        store.configure(1, [BUDGET], 0)
        store.open_holder(Hello("p0", "p0"), 0)
    return store


def draw(store: Store, slice_id: str, need: int) -> int:
    item = DrawItem(slice_id, BUDGET.id, "", [need], 0, 0, BUDGET.basis)
    with store.transaction():
        (grant,) = store.granting.draw("p0", [item], store.specs, now=0)
    return grant.amount


def figures(store: Store) -> Figures:
    with store.transaction():
        return store.accounts.figures([ACCOUNT])[ACCOUNT]


def looking_early(store: Store, before: Figures) -> Callable[..., Draft]:
    """A look that sees the account as it was `before`."""
    look = store.granting._look

    def look_early(*arguments: Any) -> Draft:
        draft = look(*arguments)
        draft.standing[ACCOUNT] = before
        return draft

    return look_early


@pytest.mark.parametrize("overrun", [0, 400])
def test_a_draw_computed_on_old_figures_takes_nothing_that_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch, overrun: int
) -> None:
    """Two that read one balance and act on it one after the other: the second looks again."""
    before = Figures(limit=1000, granted=0, held=None, overrun=0)
    assert draw(store, "s1", 500) == 500
    with store.transaction():
        store.accounts.add_overrun({ACCOUNT: overrun})
    now = figures(store)
    with monkeypatch.context() as patch:
        patch.setattr(store.granting, "_look", looking_early(store, before))
        assert draw(store, "s2", 1000 - overrun // 2) == 0
        assert draw(store, "s3", 500 - overrun) == 500 - overrun
    assert figures(store).granted == now.granted + 500 - overrun


def test_a_draw_that_only_ever_sees_old_figures_gives_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Figures(limit=1000, granted=0, held=None, overrun=0)
    assert draw(store, "s1", 500) == 500
    with monkeypatch.context() as patch:
        patch.setattr(store.granting, "_look", looking_early(store, before))
        patch.setattr(
            store.accounts, "figures", lambda accounts, **_: dict.fromkeys(accounts, before)
        )
        with pytest.raises(ConflictError):
            draw(store, "s2", 501)
    assert figures(store).granted == 500


def test_what_providers_billed_above_holds_is_not_drawn_again(store: Store) -> None:
    assert draw(store, "s1", 500) == 500
    with store.transaction():
        store.accounts.add_overrun({ACCOUNT: 400})
    assert draw(store, "s2", 101) == 0
    assert draw(store, "s3", 100) == 100


@pytest.mark.parametrize(
    "change", ["granted = enforced + 1", "granted = -1", "overrun = -1", "limit_amount = -1"]
)
def test_the_row_refuses_what_no_code_may_write(store: Store, change: str) -> None:
    draw(store, "s1", 500)
    with pytest.raises(RuleBrokenError), store.transaction():
        store.database.execute(f"UPDATE account SET {change}")


def test_one_slice_is_granted_once_however_often_it_is_asked_for(store: Store) -> None:
    assert [draw(store, "s1", 300) for _ in range(3)] == [300, 300, 300]
    assert figures(store).granted == 300

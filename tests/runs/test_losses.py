"""What was written off with lost proxies, by account."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger.losses import Loss, losses
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import DrawItem, Hello
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.store import Store
from support.ledgers import budget

LOST = 1_777_636_800_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A proxy that held five of each of two budgets was lost."""
    path = tmp_path / "ledger.db"
    store = Store(partial(open_database, path))
    specs = [budget("ns/company", 100), budget("ns/team", 100, unit="tokens", per="user")]
    with store.transaction():
        store.configure(1, specs, 0)
        store.open_holder(Hello("p0", "p0-1"), 0)
        items = [
            DrawItem(f"s{number}", spec.id, "ann" if spec.per else "", [5], 0, 0, spec.basis)
            for number, spec in enumerate(specs)
        ]
        store.granting.draw("p0-1", items, store.specs, now=0)
        store.holders.post_loss("p0-1", LOST)
    store.close()
    return path


Find = Callable[[int, int], list[Loss]]


@pytest.fixture
def find(path: Path) -> Find:
    def find_(since: int, until: int) -> list[Loss]:
        with LedgerReader(path) as reader:
            return losses(reader, since=since, until=until)

    return find_


def test_each_account_shows_what_it_was_charged(find: Find) -> None:
    found = [(loss.budget, loss.subject, loss.unit, loss.amount) for loss in find(LOST, LOST + 1)]
    assert found == [("ns/company", "", "usd", 5), ("ns/team", "ann", "tokens", 5)]


@pytest.mark.parametrize("span", [(0, LOST), (LOST + 1, LOST + 2)])
def test_only_in_the_span_that_is_asked_for(find: Find, span: tuple[int, int]) -> None:
    assert find(*span) == []

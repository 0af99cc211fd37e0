"""A draw was granted, and its answer was lost: when it is asked again, the world may be another."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger.client import Claim, Hold, Shortage
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Drawn, Welcome
from signalbox_ledger.replies import Reply
from signalbox_ledger.store import Store
from signalbox_ledger.turns import Connection
from support.ledgers import budget, until
from support.life import Life, living
from support.timing import at_most

NOW = 1_777_636_800
DAY = budget(limit=1000)
CLAIMS = [Claim(DAY.id, "", 400)]


@pytest.fixture
async def life(folder: Path) -> AsyncIterator[Life]:
    store = Store(partial(open_database, folder / "ledger.db"))
    async with living(store, folder, now=NOW, proxies=1) as life:
        await life.apply(DAY)
        yield life
    store.close()


@pytest.fixture
def meanwhile(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[type[object], Callable[[], object]]], None]:
    """The first answer to a draw is lost. Beside the first of a kind, something happens."""

    def happens(changes: dict[type[object], Callable[[], object]]) -> None:
        reply = Connection.reply

        def replies(self: Connection, number: int, answer: Reply) -> None:
            change = changes.pop(type(answer), None)
            if change is not None:
                with life.store.transaction():
                    change()
            if change is not None and isinstance(answer, Drawn):
                self.close()
            else:
                reply(self, number, answer)

        monkeypatch.setattr(Connection, "reply", replies)

    return happens


def held(life: Life) -> int:
    return life.figures(DAY, 0).held or 0


async def test_what_was_granted_to_who_may_draw_no_more_comes_back(life: Life, meanwhile) -> None:
    meanwhile({Drawn: partial(life.store.require_generation, 99)})
    shortage = await life.proxies[0].hold(CLAIMS, wait_s=0.2)
    assert isinstance(shortage, Shortage)
    assert held(life) == 400

    async def is_back() -> bool:
        return held(life) == 0

    await until(is_back)


async def test_what_is_asked_again_is_not_given_back_beside_that(life: Life, meanwhile) -> None:
    meanwhile({Drawn: partial(life.store.freeze, "a test", 0), Welcome: life.store.readmit})
    found = await life.proxies[0].hold(CLAIMS, wait_s=at_most(30))
    assert isinstance(found, Hold)
    await life.proxies[0]._housekeeper.give_back(NOW, everything=False)
    assert held(life) >= 400, "it is in use here"

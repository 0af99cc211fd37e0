"""What a waiting hold makes of the authority's answers."""

import asyncio

from signalbox_ledger.accounts import Figures
from signalbox_ledger.holder import Claim
from signalbox_ledger.protocol import Grant
from signalbox_ledger.waiting import Waiter

CLAIM = Claim("ns/day", "", 300)


async def waiter_told(figures: Figures) -> Waiter:
    waiter = Waiter([CLAIM], asyncio.get_running_loop().create_future(), 0.0)
    waiter.told({("ns/day", ""): ("", Grant("s1", 0, 0, 0, figures))})
    return waiter


async def test_it_is_exhausted_where_every_hold_released_would_not_be_enough() -> None:
    waiter = await waiter_told(Figures(limit=1000, granted=950, held=100, overrun=0))
    assert waiter.hopeless == ("exhausted", CLAIM)


async def test_it_is_not_exhausted_where_nobody_looked_what_is_held() -> None:
    """The authority looks where needs are left open: here it had covered all of them."""
    waiter = await waiter_told(Figures(limit=1000, granted=950, held=None, overrun=0))
    assert waiter.hopeless is None

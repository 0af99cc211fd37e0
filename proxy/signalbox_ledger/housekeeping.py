"""What a proxy's ledger does between requests: give back, learn what is wanted, draw ahead."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from signalbox_ledger.connection import AuthorityConnection, Clock, LedgerUnavailableError
from signalbox_ledger.drawing import Drawer
from signalbox_ledger.flushing import Flusher
from signalbox_ledger.holder import ENDLESS, HeldAccount, Holdings
from signalbox_ledger.journal import JournalError
from signalbox_ledger.protocol import MAX_ITEMS, Poll, Polled, Return, ReturnItem

_log = logging.getLogger("signalbox.ledger")

_TICK_S = 0.1
_TICKS_PER_SECOND = 10
_NEXT_WINDOW_S = 2
_SHORT_WINDOW_S = 30


class Housekeeper:
    """Ten times a second: returns and recalls. Once a second: slices ahead of need."""

    def __init__(
        self,
        holdings: Holdings,
        connection: AuthorityConnection,
        flusher: Flusher,
        drawer: Drawer,
        write_late: Callable[[], None],
    ) -> None:
        self._holdings = holdings
        self._connection = connection
        self._flusher = flusher
        self._drawer = drawer
        self._write_late = write_late
        self._returns: dict[str, ReturnItem] = {}
        self._stir = asyncio.Event()

    def stir(self) -> None:
        """Do the next round now."""
        self._stir.set()

    async def run(self, clock: Clock) -> None:
        """Keep house until cancelled."""
        ticks = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stir.wait()
            self._stir.clear()
            ticks += 1
            try:
                self._write_late()
                await self._recall(clock)
                await self.give_back(clock.now_ms() // 1000)
            except JournalError as error:
                _log.warning("%s", error)
            except LedgerUnavailableError:
                continue
            if ticks % _TICKS_PER_SECOND == 0:
                self._look_ahead(clock.now_ms() // 1000)

    async def _recall(self, clock: Clock) -> None:
        """Learn which slices others wait for."""
        if not self._holdings.accounts:
            return
        reply = await self._connection.call(Poll())
        if isinstance(reply, Polled):
            clock.told(reply.now_ms)
            if self._holdings.drain(reply.wanted):
                self._flusher.hurry()

    async def give_back(self, now: int, *, everything: bool = False) -> None:
        """Return what is due. Raises LedgerUnavailableError; then the next call repeats it."""
        for item in self._holdings.collect(now, everything=everything):
            self._returns[item.slice_id] = item
        while self._returns:
            items = list(self._returns.values())[:MAX_ITEMS]
            await self._connection.call(Return(items))
            for item in items:
                if self._returns.get(item.slice_id) is item:
                    del self._returns[item.slice_id]

    def _look_ahead(self, now: int) -> None:
        for account in self._holdings.accounts.values():
            account.measure()
            if account.exact or account.is_tight or account.rate == 0:
                continue
            if account.free_at(now) < account.wanted_ahead // 3:
                self._drawer.refill(account, upcoming=False)
            if _window_ends(account, now):
                self._drawer.refill(account, upcoming=True)


def _window_ends(account: HeldAccount, now: int) -> bool:
    """Whether the next window is near, and nothing was drawn for it."""
    start = max((held.start for held in account.slices), default=0)
    end = max((held.end for held in account.slices), default=ENDLESS)
    return end - start > _SHORT_WINDOW_S and start <= now and end - now <= _NEXT_WINDOW_S

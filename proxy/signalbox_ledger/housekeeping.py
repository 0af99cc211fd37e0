"""What a proxy's ledger does between requests: give back, learn what is wanted, draw ahead.

What needs the authority and what does not run beside each other: one that does not answer stops
neither the journal nor the measuring of rates.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from signalbox_ledger.connection import AuthorityConnection, Clock, LedgerUnavailableError
from signalbox_ledger.drawing import Drawer
from signalbox_ledger.flushing import Flusher
from signalbox_ledger.holder import Holdings
from signalbox_ledger.journal import JournalError
from signalbox_ledger.protocol import MAX_ITEMS, Poll, Polled, Return, ReturnItem

_log = logging.getLogger("signalbox.ledger")

_TICK_S = 0.1
_SECOND_S = 1.0

_POLL_S = 1.0
_POLL_NEAR_LIMIT_S = 0.25
_POLL_EMPTY_S = 2.0
"""How often to ask what is wanted, where no other answer of the authority told it meanwhile: a
proxy under load never asks. Who waits for the money of others waits for two seconds; near a limit
somebody is likely to. One that holds nothing only learns whether its snapshot is too old."""

_SLOWNESS = 10
"""A database that takes long for an answer is asked at most once in so many times as long."""

_CLOSINGS_S = 1.0
_CLOSINGS = 500
"""Slices that are used up free nothing: telling so waits for company."""


class Housekeeper:
    """Ten times a second: returns. As often as need be: recalls. Once a second: slices ahead."""

    def __init__(
        self,
        holdings: Holdings,
        connection: AuthorityConnection,
        flusher: Flusher,
        drawer: Drawer,
        *,
        on_second: Callable[[], None],
    ) -> None:
        self._holdings = holdings
        self._connection = connection
        self._flusher = flusher
        self._drawer = drawer
        self._on_second = on_second
        self.strays: Sequence[str] = ()
        self._returns: dict[str, ReturnItem] = {}
        self._frees = False
        self._returned_at = 0.0
        self._told_at = 0.0
        self._answer_s = 0.0
        self._stir = asyncio.Event()

    def stir(self) -> None:
        """Do the next round now."""
        self._stir.set()

    def wanted(self, slice_ids: Sequence[str]) -> None:
        """The authority told which slices of this proxy others wait for."""
        self._told_at = asyncio.get_running_loop().time()
        if self._holdings.drain(slice_ids):
            self._flusher.hurry()
            self._stir.set()

    def close(self, slice_ids: Sequence[str]) -> None:
        """These slices were never heard to be granted, and are not asked for any more."""
        self._plan([ReturnItem(id_, 0, close=True) for id_ in slice_ids])

    async def run(self, clock: Clock) -> None:
        """Keep house until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(clock))
            tasks.create_task(self._talk(clock))

    async def _keep(self, clock: Clock) -> None:
        while True:
            await asyncio.sleep(_SECOND_S)
            try:
                self._on_second()
            except JournalError as error:
                _log.warning("%s", error)
            now = clock.now_ms() // 1000
            self._drawer.look_ahead(now)
            self._plan(self._holdings.shed(now))

    async def _talk(self, clock: Clock) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stir.wait()
            self._stir.clear()
            if not self._connection.is_up:
                continue  # what cannot be given back is still of use here
            with contextlib.suppress(LedgerUnavailableError):
                await self._recall(clock)
                await self.give_back(clock.now_ms() // 1000)

    async def _recall(self, clock: Clock) -> None:
        """Learn which slices others wait for, and whether this proxy's snapshot is too old."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began - self._told_at < self._poll_every_s():
            return
        reply = await self._connection.call(Poll())
        self._answer_s = loop.time() - began
        if isinstance(reply, Polled):
            clock.told(reply.now_ms)
            self.wanted(reply.wanted)

    def _poll_every_s(self) -> float:
        if self._holdings.is_empty:
            return _POLL_EMPTY_S
        pause_s = _POLL_NEAR_LIMIT_S if self._holdings.near_limit else _POLL_S
        return max(pause_s, min(_POLL_S, _SLOWNESS * self._answer_s))

    async def give_back(self, now: int, *, everything: bool = False) -> None:
        """Return what is due. Raises LedgerUnavailableError; then the next call repeats it."""
        self._plan(self._holdings.collect(now, everything=everything))
        if self.strays and not self._flusher.is_behind and not self._drawer.is_asking:
            self._plan(self._holdings.close_strays(self.strays))
            self.strays = ()
        loop = asyncio.get_running_loop()
        waited = loop.time() - self._returned_at >= _CLOSINGS_S
        if not (everything or waited or self._frees or len(self._returns) >= _CLOSINGS):
            return
        self._frees = False
        while self._returns:
            items = list(self._returns.values())[:MAX_ITEMS]
            try:
                await self._connection.call(Return(items))
            except LedgerUnavailableError:
                self._frees = True
                raise
            self._returned_at = loop.time()
            for item in items:
                if self._returns.get(item.slice_id) is item:
                    del self._returns[item.slice_id]

    def _plan(self, items: Sequence[ReturnItem]) -> None:
        for item in items:
            self._returns[item.slice_id] = item
            self._frees = self._frees or not item.close

"""Whether the authority's database answers at all, asked while holds wait for their own answer.

A database that is busy and one that is gone look alike to a hold that waits. The authority knows
better: it is asked, beside the draw, for how long its database has owed it an answer. As long as
that is short, a hold waits on.
"""

import asyncio
import contextlib
from collections.abc import Callable

from signalbox_ledger.connection import AuthorityConnection, LedgerUnavailableError
from signalbox_ledger.protocol import Alive, Ping

_EVERY_S = 0.05
_PROMPT_S = 0.5


class Pulse:
    """The latest instant (of the event loop) at which the database is known to have answered."""

    def __init__(self, connection: AuthorityConnection, is_needed: Callable[[], bool]) -> None:
        self.felt_at = 0.0
        self._connection = connection
        self._is_needed = is_needed
        self._wanted = asyncio.Event()

    def feel(self) -> None:
        """Ask, again and again, for as long as somebody needs to know."""
        self._wanted.set()

    def heard(self, *, took_s: float) -> None:
        """The database just answered. One that takes long may owe the next answer for ever."""
        if took_s < _PROMPT_S:
            self.felt_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_EVERY_S)  # most answers come sooner
            if not self._is_needed():
                self._wanted.clear()
                continue
            with contextlib.suppress(LedgerUnavailableError):
                reply = await self._connection.call(Ping())
                if isinstance(reply, Alive) and reply.silent_ms is not None:
                    self.felt_at = max(self.felt_at, loop.time() - reply.silent_ms / 1000)

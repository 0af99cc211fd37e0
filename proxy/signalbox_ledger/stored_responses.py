"""A proxy's side of answers that providers store: remembered at the authority, and looked up.

Part of `ProxyLedger`. Only requests that store an answer, or continue one, pay a round trip.
"""

import asyncio
import contextlib
import logging

from signalbox_ledger.connection import AuthorityConnection, LedgerUnavailableError
from signalbox_ledger.replies import FoundResponse, Refused, StoredResponse
from signalbox_ledger.stored_response import FindResponse, KeepResponse

_log = logging.getLogger("signalbox.ledger")

_ANSWER_S = 0.23
"""Longest wait of a request: with what stands around it, a client hears within 250 ms."""

_KEEP_S = 2.0
"""Longest wait of an answer that is there already for its being remembered."""


class StoredResponses:
    """Stored answers of one proxy's agents."""

    def __init__(self, connection: AuthorityConnection) -> None:
        self._connection = connection
        self._keeping: set[asyncio.Task[None]] = set()

    async def keep(self, request: KeepResponse) -> None:
        """Remember an answer. Waits two seconds at most, then goes on by itself: until the
        authority has it, nobody finds it."""
        task = asyncio.create_task(self._keep(request))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        await asyncio.wait((task,), timeout=_KEEP_S)

    async def find(self, request: FindResponse) -> StoredResponse | None:
        """What is remembered; None for what is not, or is another's. Raises
        LedgerUnavailableError within 250 ms."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reply = await self._connection.until_answered(request)
        except TimeoutError as error:
            raise LedgerUnavailableError("the authority does not answer") from error
        if not isinstance(reply, FoundResponse):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return reply.stored

    async def close(self) -> None:
        """Wait no longer for what is still to be remembered."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _keep(self, request: KeepResponse) -> None:
        with contextlib.suppress(LedgerUnavailableError):
            reply = await self._connection.until_answered(request)
            if isinstance(reply, Refused):
                _log.warning("a stored answer cannot be continued: %s", reply.message)

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

MAX_KEEPING = 1000
"""Answers that wait at once to be remembered: what a proxy keeps of them while its ledger is away
is bounded. Those beyond are served, and cannot be continued."""


class StoredResponses:
    """Stored answers of one proxy's agents."""

    def __init__(self, connection: AuthorityConnection) -> None:
        self._connection = connection
        self._keeping: set[asyncio.Task[None]] = set()
        self._dropped = 0

    async def keep(self, request: KeepResponse) -> None:
        """Remember an answer. Waits two seconds at most, and not at all where the authority is
        known to be away, then goes on by itself: until the authority has it, nobody finds it.
        Nobody ever does where `MAX_KEEPING` others wait."""
        if len(self._keeping) >= MAX_KEEPING:
            self._drop()
            return
        task = asyncio.create_task(self._keep(request))
        self._keeping.add(task)
        task.add_done_callback(self._kept)
        if self._connection.is_up:
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

    def _drop(self) -> None:
        """Count an answer for which there is no room; the first of many is told at once."""
        if self._dropped == 0:
            _log.warning("%d stored answers wait for the ledger; no more are kept", MAX_KEEPING)
        self._dropped += 1

    def _kept(self, task: "asyncio.Task[None]") -> None:
        self._keeping.discard(task)
        if self._dropped and len(self._keeping) <= MAX_KEEPING // 2:
            _log.warning("%d stored answers were not kept: none can be continued", self._dropped)
            self._dropped = 0

    async def _keep(self, request: KeepResponse) -> None:
        with contextlib.suppress(LedgerUnavailableError):
            reply = await self._connection.until_answered(request)
            if isinstance(reply, Refused):
                _log.warning("a stored answer cannot be continued: %s", reply.message)

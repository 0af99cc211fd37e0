"""A proxy's side of `Idempotency-Key`: claims at the authority, and claims that are taken back.

Part of `ProxyLedger`. A claim is asked for within the time that a client may be kept waiting; what
then is not known is taken back, for as long as it takes, so that no key stays with a run that
never was.
"""

import asyncio
import contextlib

from signalbox_ledger.connection import AuthorityConnection, LedgerUnavailableError
from signalbox_ledger.protocol import Claimed, ClaimKey, ReleaseKey

_ANSWER_S = 0.23
"""Longest wait for the authority: with what stands around it, a client hears within 250 ms."""


class KeyClaims:
    """Claims of one proxy."""

    def __init__(self, connection: AuthorityConnection) -> None:
        self._connection = connection
        self._releasing: set[asyncio.Task[None]] = set()

    async def claim(self, request: ClaimKey) -> Claimed:
        """Whose the key is. Raises LedgerUnavailableError within 250 ms; the key is then nobody's,
        or soon will be."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reply = await self._connection.until_answered(request)
        except (TimeoutError, asyncio.CancelledError) as error:
            self._start_release(request)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise LedgerUnavailableError("the authority does not answer") from error
        if not isinstance(reply, Claimed):
            self._start_release(request)
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return reply

    async def release(self, request: ClaimKey) -> None:
        """Nothing of the run was billed: the key may be used again. Waits as long as `claim`,
        then goes on by itself."""
        task = self._start_release(request)
        await asyncio.wait((task,), timeout=_ANSWER_S)

    async def close(self) -> None:
        """Wait no longer for what is still to be released."""
        for task in self._releasing:
            task.cancel()
        await asyncio.gather(*self._releasing, return_exceptions=True)

    def _start_release(self, request: ClaimKey) -> asyncio.Task[None]:
        task = asyncio.create_task(self._release(request))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
        return task

    async def _release(self, request: ClaimKey) -> None:
        with contextlib.suppress(LedgerUnavailableError):
            await self._connection.until_answered(
                ReleaseKey(request.agent, request.key_digest, request.run_id)
            )

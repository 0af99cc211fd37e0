"""What earlier processes of this proxy left in their journals, settled before it serves.

On one machine the supervisor does it. In a pod nobody else can: the container that died wrote to a
volume that only the next one has.
"""

import asyncio
import logging
from pathlib import Path

from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.recovery import recover_all
from signalbox_proxy.logs import FIELDS

PATIENCE_S = 10.0
"""Longest that serving waits for an authority. Nothing could be spent without one; what is left
unsettled is settled once it answers."""

AGAIN_S = 0.5
LATER_S = 5.0

_log = logging.getLogger("signalbox.process")


class EarlierRuns:
    """The journals of one folder, whose processes are gone."""

    def __init__(self, authority: Path, journals: Path) -> None:
        self._authority = authority
        self._journals = journals
        self.settled = False

    async def settle(self, stop: asyncio.Event, *, patience_s: float = PATIENCE_S) -> None:
        """Try until it is done, nobody answered for so long, or the process is to stop."""
        deadline = asyncio.get_running_loop().time() + patience_s
        while not (await self._try() or stop.is_set()):
            if asyncio.get_running_loop().time() > deadline:
                _log.warning("no authority answers; earlier journals are settled later")
                return
            await asyncio.sleep(AGAIN_S)

    async def keep_trying(self) -> None:
        """Go on until it is done."""
        while not self.settled:
            await asyncio.sleep(LATER_S)
            await self._try()

    async def _try(self) -> bool:
        try:
            done = await recover_all(self._authority, [self._journals])
        except LedgerUnavailableError:
            return False
        for each in done:
            fields = {
                "holder": each.holder,
                "runs": each.runs,
                "unknown": each.unknown,
                "lost_slices": each.lost,
            }
            if each.problem:
                _log.error("a journal cannot be settled: %s", each.problem, extra={FIELDS: fields})
            else:
                _log.info("an earlier journal is settled", extra={FIELDS: fields})
        self.settled = True
        return True

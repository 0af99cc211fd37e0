"""Carries the journal to the authority, off the hot path, and learns what is settled."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence

from signalbox_ledger.connection import AuthorityConnection
from signalbox_ledger.holder import Holdings
from signalbox_ledger.journal import RECORD, Journal, JournalError, decode_run, entries
from signalbox_ledger.protocol import Refused, Settle, Settled, Skip
from signalbox_ledger.records import HoldPart

_log = logging.getLogger("signalbox.ledger")

_INTERVAL_S = 0.1
_SLOWNESS = 20
_LONGEST_INTERVAL_S = 1.0
"""A database that takes long to settle is asked to at most once in so many times as long."""

_BATCH_RUNS = 200
_BATCH_BYTES = 256 * 1024
_REFUSED_PAUSE_S = 1.0

Parts = tuple[HoldPart, ...]


class Flusher:
    """What is in the journal and not settled yet."""

    def __init__(
        self,
        journal: Journal,
        holdings: Holdings,
        connection: AuthorityConnection,
        *,
        on_wanted: Callable[[Sequence[str]], None],
    ) -> None:
        self._journal = journal
        self._holdings = holdings
        self._connection = connection
        self._on_wanted = on_wanted
        self._answer_s = 0.0
        self._entries: deque[tuple[int, Parts | None]] = deque()
        self._acknowledged = 0
        self._again: int | None = None
        self._records = 0
        self._due = asyncio.Event()
        self._urgent = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def is_settled(self) -> bool:
        """Whether the authority has all records."""
        return self._records == 0 and self._again is None

    @property
    def is_behind(self) -> bool:
        """Whether something that was settled once has to be settled again."""
        return self._again is not None

    @property
    def acknowledged(self) -> int:
        """How much of the journal the authority said is settled."""
        return self._acknowledged

    def settle_again(self, offset: int) -> None:
        """The authority's database knows the journal up to `offset`: if that is less than it said
        before, it lost commits, and gets them again."""
        self._again = offset if offset < self._acknowledged else None
        if self._again is not None:
            _log.error(
                "the database lost %d settled bytes; they are settled again",
                self._acknowledged - offset,
            )
            self._due.set()
            self._urgent.set()

    def appended(self, end: int, parts: Parts | None) -> None:
        """An entry ends at `end`; `parts` are a record's holds, None for other entries."""
        self._entries.append((end, parts))
        if parts is None:
            return
        self._records += 1
        self._due.set()
        if self._records >= _BATCH_RUNS:
            self._urgent.set()

    def hurry(self) -> None:
        """Flush at once: somebody waits for what was spent."""
        self._urgent.set()

    async def run(self) -> None:
        """Flush every now and then until cancelled."""
        while True:
            await self._due.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s()):
                    await self._urgent.wait()
            self._urgent.clear()
            self._due.clear()
            try:
                await self.flush()
            except (JournalError, OSError):
                _log.exception("the journal cannot be read")
                await asyncio.sleep(_REFUSED_PAUSE_S)
                self._due.set()

    def _interval_s(self) -> float:
        return max(_INTERVAL_S, min(_LONGEST_INTERVAL_S, _SLOWNESS * self._answer_s))

    async def flush(self) -> None:
        """Settle all that was recorded before this call.

        Raises LedgerUnavailableError once this holder is fenced.
        """
        goal = self._journal.end
        async with self._lock:
            while self._again is not None or (self._records and self._acknowledged < goal):
                # Looked at each time: what was asked may come back from a database that lost some.
                if self._again is not None:
                    await self._flush_again(self._again)
                else:
                    await self._flush_batch()

    async def _flush_again(self, start: int) -> None:
        holder = self._journal.holder
        request: Settle | Skip
        try:
            request = Settle(holder, start, self._journal.read_entries(start, self._acknowledged))
        except JournalError:
            kept = min(self._journal.kept_from, self._acknowledged)
            _log.exception("what was settled before %d is not kept", kept)
            request = Skip(holder, start, kept, self._spent_before(kept))
        reply = await self._connection.until_answered(request)
        if self._again is None or not isinstance(reply, Settled | Refused):
            return
        if reply.offset > self._again:
            self._again = reply.offset if reply.offset < self._acknowledged else None
        elif isinstance(reply, Refused):
            _log.error("the authority does not settle journal bytes from %d: %s", start, reply)
            await asyncio.sleep(_REFUSED_PAUSE_S)

    def _spent_before(self, offset: int) -> dict[str, int]:
        """What the slices that are held here had spent when `offset` was settled."""
        spent = self._holdings.settled()
        while offset < self._acknowledged:
            data = self._journal.read_entries(offset, self._acknowledged)
            for entry in entries(data, offset):
                parts = decode_run(entry.body).parts if entry.kind == RECORD else ()
                for part in parts:
                    if part.slice_id in spent:
                        spent[part.slice_id] -= min(part.spent, part.amount)
            offset += len(data)
        return spent

    async def _flush_batch(self) -> None:
        end = self._acknowledged
        for entry_end, _ in self._entries:
            if entry_end - self._acknowledged > _BATCH_BYTES and end > self._acknowledged:
                break
            end = entry_end
        data = self._journal.read(self._acknowledged, end)
        request = Settle(self._journal.holder, self._acknowledged, data)
        began = asyncio.get_running_loop().time()
        reply = await self._connection.until_answered(request)
        self._answer_s = asyncio.get_running_loop().time() - began
        if isinstance(reply, Settled) and reply.wanted is not None:
            self._on_wanted(reply.wanted)
        if isinstance(reply, Settled | Refused) and reply.offset > self._acknowledged:
            self._acknowledge(reply.offset)
        else:
            _log.error("the authority does not settle journal bytes from %d: %s", end, reply)
            await asyncio.sleep(_REFUSED_PAUSE_S)

    def _acknowledge(self, offset: int) -> None:
        while self._entries and self._entries[0][0] <= offset:
            _, parts = self._entries.popleft()
            if parts is not None:
                self._records -= 1
                self._holdings.acknowledge(parts)
        self._acknowledged = offset
        self._journal.forget(offset)

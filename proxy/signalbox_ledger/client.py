"""The ledger as a proxy sees it: holds before dispatch, records after, nothing waits on disk.

One `ProxyLedger` per process is one incarnation: a holder id, a journal, slices. Inside its
slices it needs nobody; see docs/architecture.md for the contract.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.connection import AuthorityConnection, Clock, LedgerUnavailableError
from signalbox_ledger.drawing import Drawer
from signalbox_ledger.flushing import Flusher
from signalbox_ledger.framing import FrameError, frame
from signalbox_ledger.holder import Claim, Hold, Holdings
from signalbox_ledger.housekeeping import Housekeeper
from signalbox_ledger.journal import Journal, JournalError
from signalbox_ledger.key_claims import KeyClaims
from signalbox_ledger.protocol import Configure, FindRun, Finish, FoundRun, Hello, Refused, Welcome
from signalbox_ledger.records import HoldPart, Run
from signalbox_ledger.run_journal import RunJournal
from signalbox_ledger.shortage import Shortage
from signalbox_ledger.stored_responses import StoredResponses

__all__ = [
    "Claim",
    "Hold",
    "JournalError",
    "LedgerUnavailableError",
    "ProxyLedger",
    "Shortage",
]

_log = logging.getLogger("signalbox.ledger")

_CONNECT_S = 2.0
_ANSWER_S = 2.0
_CLOSE_S = 5.0


class ProxyLedger:
    """Holds, settles and records for one process, by the budgets of `generation`; see `open`."""

    def __init__(self, name: str, socket: Path, journal: Journal) -> None:
        self.holder_id = journal.holder
        self.generation = 0
        self._clock = Clock()
        self._journal = journal
        self._holdings = Holdings()
        self._connection = AuthorityConnection(
            socket,
            lambda: Hello(
                name, journal.holder, self._flusher.acknowledged, self._holdings.presented()
            ),
            self._clock,
            on_connect=self._connected,
            on_fenced=self._holdings.drain_all,
        )
        self._flusher = Flusher(
            journal, self._holdings, self._connection, on_wanted=self._learn_wanted
        )
        self._drawer = Drawer(
            self._holdings,
            self._connection,
            self._clock,
            holder=journal.holder,
            flush=self._flusher.hurry,
            on_wanted=self._learn_wanted,
            on_refused=self._take_back,
        )
        self.keys = KeyClaims(self._connection)
        self.responses = StoredResponses(self._connection)
        self._runs = RunJournal(journal, self._flusher)
        self._closed = False
        self._failed = False
        self._housekeeper = Housekeeper(
            self._holdings,
            self._connection,
            self._flusher,
            self._drawer,
            on_second=self._runs.look_after,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, *, name: str, socket: Path, journal_dir: Path) -> "ProxyLedger":
        """Begin a new incarnation of the proxy `name`.

        Returns within two seconds even where no authority answers; nothing can be held until one
        does. Raises JournalError where the journal cannot be made.
        """
        holder = f"{name}-{uuid.uuid4().hex[:16]}"
        ledger = cls(name, socket, Journal(journal_dir, holder, name))
        if not await ledger._connection.start(patience_s=_CONNECT_S):
            _log.warning("no authority answers on %s yet", socket)
        ledger._tasks = [
            asyncio.create_task(ledger._drawer.run()),
            asyncio.create_task(ledger._drawer.pulse.run()),
            asyncio.create_task(ledger._keep_flushing()),
            asyncio.create_task(ledger._housekeeper.run(ledger._clock)),
        ]
        for task in ledger._tasks:
            task.add_done_callback(ledger._ended)
        return ledger

    @property
    def is_fenced(self) -> bool:
        """Whether this process can only end: the authority took it to be gone, or a task of its
        ledger has failed."""
        return self._connection.fenced or self._failed

    @property
    def was_reached(self) -> bool:
        """Whether an authority has ever welcomed this process: until then nothing can be held."""
        return self._connection.was_up

    def now_ms(self) -> int:
        """Milliseconds since the epoch by the authority's clock."""
        return self._clock.now_ms()

    async def configure(self, generation: int, specs: Sequence[BudgetSpec]) -> None:
        """Hand over the budgets of a snapshot; the highest generation wins.

        Where the authority does not answer within two seconds it gets them once it does. Raises
        ValueError, naming the budget, for one that cannot be kept; then nothing has changed.
        """
        request = Configure(generation, list(specs))
        try:
            frame(0, request)
        except FrameError as error:
            raise ValueError(
                f"the budgets are too many to be sent to the ledger: {error}"
            ) from None
        before = self._connection.configuration
        self._connection.configuration = request
        with contextlib.suppress(TimeoutError, LedgerUnavailableError):
            async with asyncio.timeout(_ANSWER_S if self._connection.is_up else 0):
                reply = await self._connection.until_answered(request)
                if isinstance(reply, Refused):
                    self._connection.configuration = before
                    raise ValueError(reply.message)  # noqa: TRY004 - a value, not a type
        self._take_up({spec.id: spec for spec in specs})
        self.generation = generation
        self._housekeeper.stir()

    @property
    def min_generation(self) -> int:
        """The generation that a snapshot has to have to be served by, as far as known here."""
        return self._connection.min_generation

    @property
    def ledger_generation(self) -> int:
        """The highest generation whose budgets the ledger has, as far as it was told here."""
        return self._connection.generation

    async def require_generation(self, generation: int) -> None:
        """Something was taken away in this generation: nobody draws by an older one any more.

        Where the authority does not answer within two seconds it is told once it does.
        """
        with contextlib.suppress(TimeoutError, LedgerUnavailableError):
            async with asyncio.timeout(_ANSWER_S if self._connection.is_up else 0):
                await self._connection.require_generation(generation)

    def _take_up(self, specs: dict[str, BudgetSpec]) -> None:
        """What was drawn under a higher limit, or counts otherwise, is used no more."""
        orders = self._drawer.orders
        before, orders.specs = orders.specs, specs
        other = {
            id_
            for id_, spec in before.items()
            if (now := specs.get(id_)) is None or now.basis != spec.basis
        }
        lower = {
            id_ for id_, spec in specs.items() if id_ in before and spec.limit < before[id_].limit
        }
        self._holdings.drain_budgets(other | lower)
        self._drawer.give_up_on(other)

    def counts_otherwise(self, budget: str, unit: str) -> bool:
        """Whether the budget counts another unit here than this one, having been made again."""
        spec = self._drawer.orders.specs.get(budget)
        return spec is not None and spec.unit != unit

    def try_hold(self, claims: Sequence[Claim]) -> Hold | None:
        """All claims out of the slices at hand, or None. No I/O."""
        return self._holdings.try_hold(claims, self._clock.now_ms() // 1000)

    async def hold(self, claims: Sequence[Claim], *, wait_s: float = 2.0) -> Hold | Shortage:
        """All claims, or why not; waits up to `wait_s` for holds of others to end.

        A Shortage for the reason `unavailable` comes within 250 ms.
        """
        held = self._holdings.try_hold(claims, self._clock.now_ms() // 1000)
        if held is not None:
            return held
        return await self._drawer.hold(claims, wait_s)

    def settle(self, hold: Hold, spent: Sequence[int]) -> tuple[HoldPart, ...]:
        """Close a hold with what each claim really cost; the parts belong into the run's attempt.

        What is above the hold is kept on the part and posted as overrun. Raises ValueError for
        a hold that is closed, or a negative amount.
        """
        parts = self._holdings.settle(hold, spent)
        if self._drawer.waiters:
            self._drawer.nudge()
        return parts

    def release(self, hold: Hold) -> tuple[HoldPart, ...]:
        """Close a hold of which nothing was sent."""
        return self.settle(hold, [0] * (max(hold.claims, default=-1) + 1))

    def remaining(self, budget: str, subject: str) -> int | None:
        """limit - settled - overrun as last known, in the budget's unit; None if never asked."""
        return self._holdings.remaining(budget, subject)

    def dispatching(self, run: Run) -> None:
        """Journal that the run's last attempt is about to leave. Raises JournalError: then it
        must not. So it is where the disk of the journal is almost full."""
        self._runs.dispatching(run)

    def attempt_ended(self, run: Run) -> None:
        """Journal how the run's last attempt ended, where the run goes on. Never fails."""
        self._runs.attempt_ended(run)

    def record(self, run: Run) -> None:
        """Journal a run that ended; it is settled in the background. Never fails: without room
        on disk the run waits in memory, and nothing more is dispatched until it is written."""
        self._runs.record(run)

    async def find_run(self, run_id: str) -> Run | None:
        """A recorded run. Raises LedgerUnavailableError within two seconds."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._flusher.flush()
                reply = await self._connection.until_answered(FindRun(run_id))
        except TimeoutError as error:
            raise LedgerUnavailableError("the authority does not answer") from error
        if not isinstance(reply, FoundRun):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        if reply.run is None:
            return None
        return msgspec.msgpack.decode(reply.run, type=Run)

    async def close(self) -> None:
        """Settle all, give every slice back, leave no journal where nothing is left to recover.

        Takes at most five seconds; what is not settled then waits for the next recovery.
        """
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.keys.close()
        await self.responses.close()
        settled = False
        with contextlib.suppress(TimeoutError, LedgerUnavailableError, JournalError):
            async with asyncio.timeout(_CLOSE_S):
                self._runs.write_late()
                await self._flusher.flush()
                await self._housekeeper.give_back(self.now_ms() // 1000, everything=True)
                if self._runs.is_settled:
                    await self._connection.until_answered(Finish(self.holder_id))
                    settled = True
        await self._connection.stop()
        self._journal.close(settled=settled)

    def _learn_wanted(self, slice_ids: Sequence[str]) -> None:
        self._housekeeper.wanted(slice_ids)

    def _take_back(self, slice_ids: Sequence[str]) -> None:
        self._housekeeper.close(slice_ids)

    def _connected(self, welcome: Welcome) -> None:
        self._flusher.settle_again(welcome.offset)
        self._housekeeper.strays = welcome.strays
        self._drawer.nudge()
        self._housekeeper.stir()

    async def _keep_flushing(self) -> None:
        with contextlib.suppress(LedgerUnavailableError):
            await self._flusher.run()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = True
            _log.critical("a task of the ledger ended; this proxy has to restart", exc_info=error)

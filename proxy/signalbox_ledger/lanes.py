"""A lane: one connection to the database, and the requests that wait for it.

All requests that wait when a turn begins share one transaction (group commit), in the order in
which they came, and none is answered before that is durable. Without an executor a turn runs where
it is; with one, in that executor's thread, while the event loop collects the next.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Literal, TypeVar

from signalbox_ledger.database import (
    ConflictError,
    DatabaseError,
    DatabaseUnavailableError,
    UnsafeDatabaseError,
)
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest
from signalbox_ledger.journal import JournalError
from signalbox_ledger.migrate import SchemaError
from signalbox_ledger.protocol import Draw, Refused, Settle
from signalbox_ledger.service import DRAWING, Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store

_log = logging.getLogger("signalbox.authority")

_TRIES = 5

_ITEMS_AT_ONCE = 1_000
"""Items of draws that share a transaction, once it has as many: whoever waits for one of their
accounts waits for all of them."""

_AWAY = (DatabaseUnavailableError, UnsafeDatabaseError, SchemaError)

Caller = TypeVar("Caller")
Done = TypeVar("Done")


class Clock:
    """Milliseconds since the epoch that never go back, from a source that may."""

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._last = 0

    def now_ms(self) -> int:
        """The present, or the latest instant told before."""
        self._last = max(self._last, self._source())
        return self._last


@dataclass(frozen=True, slots=True, eq=False)
class Asked(Generic[Caller]):
    """One request: who asks, by which session, under which number."""

    caller: Caller
    session: Session
    number: int
    request: AnyRequest


class Lane(Generic[Caller]):
    """Answers what was asked, turn by turn. `answered` hears of every turn that ended.

    `began_at` is when (`loop.time`) the turn under way began; `is_away`: the database was lost in
    the last one.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        answered: Callable[[list[tuple[Asked[Caller], AnyReply]]], None],
        executor: Executor | None = None,
    ) -> None:
        self.store = store
        self.service = Service(store)
        self.clock = clock
        self._answered = answered
        self._executor = executor
        self._waiting: list[Asked[Caller]] = []
        self._is_busy = False
        self.is_away = False
        self.began_at: float | None = None
        self._turns: set[asyncio.Task[None]] = set()

    def enqueue(self, asked: Asked[Caller]) -> None:
        """Answer it in the next turn."""
        self._waiting.append(asked)
        self._schedule()

    async def aside(self, step: Callable[[], Done]) -> Done:
        """Run a step where the database is asked: here, or in the thread of its own."""
        if self._executor is None:
            return step()
        return await asyncio.get_running_loop().run_in_executor(self._executor, step)

    def _schedule(self) -> None:
        if self._waiting and not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        waiting = [asked for asked in self._waiting if not asked.session.is_closed]
        self._waiting = []
        self.began_at = asyncio.get_running_loop().time()
        if self._executor is None:
            self._end_turn(waiting, self._replies(waiting))
        else:
            turn = asyncio.get_running_loop().create_task(self._turn_aside(waiting))
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)

    async def _turn_aside(self, waiting: list[Asked[Caller]]) -> None:
        self._end_turn(waiting, await self.aside(lambda: self._replies_apart(waiting)))

    def _end_turn(self, waiting: list[Asked[Caller]], replies: list[AnyReply]) -> None:
        self._is_busy = False
        self.began_at = None
        self._answered(list(zip(waiting, replies, strict=True)))
        self._schedule()

    def _replies_apart(self, items: list[Asked[Caller]]) -> list[AnyReply]:
        """Settlements share a transaction, and so do draws; everything else has one of its own.

        Each locks its accounts in the order of their keys, and so do draws that are answered
        together: other things in one transaction, or beside the rows of runs, would not, and
        authorities would wait for each other in a circle.
        """
        replies: list[AnyReply] = []
        for kind, group in groupby(items, lambda item: _kind(item.request)):
            for part in _parts(kind, list(group)):
                if replies and _is_unavailable(replies[-1]):
                    replies.extend([replies[-1]] * len(part))
                else:
                    replies.extend(self._replies(part))
        return replies

    def _replies(self, items: list[Asked[Caller]]) -> list[AnyReply]:
        try:
            replies = self._commit_together(items)
        except _AWAY as error:
            return self._unavailable(error, len(items))
        except Exception:  # noqa: BLE001 - whatever one request does, the others are answered
            # One request spoiled the common transaction: each gets its own, in order.
            return self._one_by_one(items)
        if self.is_away:
            self.is_away = False
            _log.info("the database is back")
        return replies

    def _commit_together(self, items: Sequence[Asked[Caller]]) -> list[AnyReply]:
        """Another authority's transaction that stood in the way has ended when we hear of it: what
        nobody here spoiled goes together once more."""
        try:
            return self._commit(items)
        except ConflictError:
            return self._commit(items)

    def _one_by_one(self, items: Sequence[Asked[Caller]]) -> list[AnyReply]:
        replies: list[AnyReply] = []
        for item in items:
            try:
                replies.append(self._commit_alone(item))
            except _AWAY as error:
                return replies + self._unavailable(error, len(items) - len(replies))
        return replies

    def _commit(self, items: Sequence[Asked[Caller]]) -> list[AnyReply]:
        with self.store.transaction():
            now_ms = self.clock.now_ms()
            return self.service.answer_all([(item.session, item.request) for item in items], now_ms)

    def _commit_alone(self, item: Asked[Caller]) -> AnyReply:
        for _ in range(_TRIES):
            try:
                return self._commit([item])[0]
            except ConflictError:
                continue
            except _AWAY:
                raise
            except (JournalError, ValueError) as error:
                return Refused("invalid", str(error))
            except (
                DatabaseError
            ) as error:  # its own words: what the driver says names values of rows
                _log.error("a request failed: %s", error)
                return Refused("failed", f"{type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - the client hears of it and repeats
                _log.exception("a request failed")
                return Refused("failed", f"{type(error).__name__}: {error}")
        return Refused("failed", "other transactions stood in the way, again and again")

    def _unavailable(self, error: Exception, count: int) -> list[AnyReply]:
        if not self.is_away:
            self.is_away = True
            _log.warning("the database is not available: %s", error)
        return [Refused("unavailable", str(error))] * count


def _kind(request: AnyRequest) -> Literal["settle", "draw", "other"]:
    if isinstance(request, Settle):
        return "settle"
    return "draw" if isinstance(request, DRAWING) else "other"


def _parts(kind: str, asked: list[Asked[Caller]]) -> list[list[Asked[Caller]]]:
    """What of these shares a transaction."""
    if kind == "settle":
        return [asked]
    parts: list[list[Asked[Caller]]] = []
    room = 0
    for each in asked:
        items = len(each.request.items) if isinstance(each.request, Draw) else 1
        if kind == "other" or items > room or not parts:
            parts.append([])
            room = _ITEMS_AT_ONCE
        parts[-1].append(each)
        room -= items
    return parts


def _is_unavailable(reply: AnyReply) -> bool:
    return isinstance(reply, Refused) and reply.reason == "unavailable"

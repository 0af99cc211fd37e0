"""How every budget stands, as the authority knows it: what `status` shows people.

`report` computes it inside the authority; `fetch` asks a running authority over its socket.
"""

import asyncio
import os
from pathlib import Path

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.protocol import (
    HEADER,
    MAX_FRAME,
    BudgetStatus,
    FrameError,
    Reply,
    Request,
    Status,
    StatusReport,
    SubjectStatus,
    decode_reply,
    frame,
)
from signalbox_ledger.sqlite_store import SqliteStore


class AuthorityUnavailable(Exception):  # noqa: N818
    """No authority answers on its socket."""


def report(store: SqliteStore, *, top: int, now_ms: int) -> StatusReport:
    """The present window of every budget in force, sorted by id."""
    budgets = [
        budget_status(store, spec, top=top, now=now_ms // 1000)
        for _, spec in sorted(store.specs.items())
    ]
    return StatusReport(now_ms=now_ms, generation=store.generation, budgets=budgets)


def budget_status(store: SqliteStore, spec: BudgetSpec, *, top: int, now: int) -> BudgetStatus:
    """One budget; `top` subjects, those with the least remaining first."""
    start, end = spec.window(now)
    accounts = store.accounts_at(spec, start)
    subjects = sorted(
        (item for item in accounts if item[0]), key=lambda item: (item[1].remaining, item[0])
    )
    total = Figures(
        limit=spec.limit,
        granted=sum(figures.granted for _, figures in accounts),
        held=sum(figures.held for _, figures in accounts),
        overrun=sum(figures.overrun for _, figures in accounts),
    )
    return BudgetStatus(
        budget=spec.id,
        unit=spec.unit,
        generation=store.generation,
        window_start=start,
        window_end=end,
        figures=total,
        remaining=min((figures.remaining for _, figures in accounts), default=spec.limit),
        subjects=len(subjects),
        exhausted_subjects=sum(figures.state == "exhausted" for _, figures in subjects),
        top=[SubjectStatus(subject, figures) for subject, figures in subjects[:top]],
    )


async def ask(socket: Path, requests: list[Request], *, timeout_s: float = 5.0) -> list[Reply]:
    """Send requests one after another on a connection of their own; give the replies.

    Raises AuthorityUnavailable.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(os.fspath(socket))
            try:
                return [await _exchange(reader, writer, request) for request in requests]
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, FrameError) as error:
        raise AuthorityUnavailable(f"no authority answers on {socket}: {error!r}") from error


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
) -> Reply:
    writer.write(frame(1, request))
    await writer.drain()
    length, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
    if length > MAX_FRAME:
        raise FrameError(f"frame of {length} bytes is above {MAX_FRAME}")
    return decode_reply(await reader.readexactly(length))


async def fetch(socket: Path, *, top: int = 5) -> StatusReport:
    """The status of all budgets. Raises AuthorityUnavailable."""
    (reply,) = await ask(socket, [Status(top=top)])
    if not isinstance(reply, StatusReport):
        raise AuthorityUnavailable(f"the authority refuses: {reply}")
    return reply

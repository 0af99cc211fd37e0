"""Asks a running authority from outside a proxy: status, recovery, a person's orders."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest
from signalbox_ledger.framing import HEADER, MAX_FRAME, FrameError, decode_any_reply, frame
from signalbox_ledger.protocol import Refused, Required, RequireGeneration

Ask = Callable[[AnyRequest], Awaitable[AnyReply]]

_ANSWER_S = 10.0
_BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError, FrameError)


@asynccontextmanager
async def connected(socket: Path, *, answer_s: float = _ANSWER_S) -> AsyncIterator[Ask]:
    """A connection of its own; gives a function that asks one request after another.

    Raises LedgerUnavailableError where the authority does not answer in time, or its database does
    not.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(os.fspath(socket))
    except OSError as error:
        raise LedgerUnavailableError(f"no authority listens on {socket}: {error}") from error

    async def ask(request: AnyRequest) -> AnyReply:
        try:
            async with asyncio.timeout(answer_s):
                writer.write(frame(1, request))
                await writer.drain()
                length, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
                if length > MAX_FRAME:
                    raise FrameError(f"frame of {length} bytes is above {MAX_FRAME}")
                reply = decode_any_reply(await reader.readexactly(length))
        except _BROKEN as error:
            raise LedgerUnavailableError(f"no answer from {socket}: {error!r}") from error
        if isinstance(reply, Refused) and reply.reason == "unavailable":
            raise LedgerUnavailableError(reply.message)
        return reply

    try:
        yield ask
    finally:
        writer.close()


async def require_generation(socket: Path, generation: int) -> None:
    """Nobody configured by an older snapshot draws any more: something was taken away in this one.

    Raises LedgerUnavailableError.
    """
    async with connected(socket) as ask:
        reply = await ask(RequireGeneration(generation))
    if not isinstance(reply, Required):
        raise LedgerUnavailableError(f"the authority refuses: {reply}")

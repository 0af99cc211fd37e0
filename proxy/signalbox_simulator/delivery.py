"""Send one answer, whole or as a stream, and bill it before its last byte leaves."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from .behaviour import Effects
from .refusals import Refusal
from .sheet import Usage
from .surface import EVENT_STREAM, Answer

DEFAULT_CHUNK_TOKENS = 3
POLL_SECONDS = 0.02
LINGER_NONE = struct.pack("ii", 1, 0)

Post = Callable[[Usage, bool], Awaitable[None]]
"""Bills a usage; the flag says that the client cut the answer."""


class Gone(Exception):  # noqa: N818 - not an error: the connection has ended, nothing is left to answer
    """The connection is closed; there is nobody to answer."""


@dataclass
class Delivery:
    """One answer on its way. ``allowance`` is how many tokens are generated after a disconnect."""

    request: web.Request
    answer: Answer
    effects: Effects
    headers: dict[str, str]
    post: Post
    allowance: int = 0
    stream_type: str = EVENT_STREAM
    _generated: int = field(default=0, init=False)
    _billed: bool = field(default=False, init=False)

    async def whole(self) -> web.StreamResponse:
        """Send an answer that is not streamed. It is billed whether the client stays or not."""
        effects = self.effects
        await pause(effects.first_chunk_ms)
        body = self.answer.whole(omit_usage=bool(effects.omit_usage))
        broken = effects.reset in ("after_head", "before_end")
        broken = broken or effects.cut_after_chunks is not None
        await self._bill_broken(self.answer.usage) if broken else await self._bill(
            self.answer.usage, cut=False
        )
        if effects.malformed_after_chunks is not None:
            body = body[: len(body) // 2]
        if not broken:
            return web.Response(body=body, headers=self.headers, content_type=self._media_type)
        response = web.StreamResponse(headers=self.headers)
        response.content_type = self._media_type
        response.content_length = len(body)
        await response.prepare(self.request)
        if effects.reset != "after_head":
            await response.write(body[: len(body) // 2])
        abort(self.request)
        return response

    @property
    def _media_type(self) -> str:
        return getattr(self.answer, "media_type", "application/json")

    async def stream(self) -> web.StreamResponse:
        """Send a stream of events."""
        response = web.StreamResponse(headers=self.headers)
        response.content_type = self.stream_type
        if self.stream_type == EVENT_STREAM:
            response.charset = "utf-8"
        response.headers["Cache-Control"] = "no-cache"
        try:
            await pause(self.effects.first_chunk_ms)
            await response.prepare(self.request)
            if self.effects.reset == "after_head":
                await self._break(Usage())
            await self._frames(response)
            if self.effects.reset == "before_end":
                await self._break(self.answer.usage)
            await self._bill(self.answer.usage, cut=False)
            closing = self.answer.closing(omit_usage=bool(self.effects.omit_usage))
            await self._write(response, closing)
            await response.write_eof()
        except ConnectionError:
            self._generate_on()
            await self._bill(self._so_far(), cut=True)
        except Gone:
            return response
        except asyncio.CancelledError:
            await self._bill(self._so_far(), cut=True)
            raise
        return response

    async def _frames(self, response: web.StreamResponse) -> None:
        size = self.effects.chunk_tokens or DEFAULT_CHUNK_TOKENS
        self._rest = self.answer.frames(size)
        for number, (frame, count) in enumerate(self._rest):
            await self._misbehave(response, number)
            if number:
                await pause(self.effects.chunk_ms)
            self._generated += count
            await self._write(response, frame)
        await self._misbehave(response, None)

    async def _misbehave(self, response: web.StreamResponse, number: int | None) -> None:
        """Do what was told for behind ``number`` chunks; None stands for the end of the content."""
        effects = self.effects
        if _due(effects.malformed_after_chunks, number):
            await self._write(response, b'data: {"id": "chatcmpl-\n\n')
            self.effects = self.effects.model_copy(update={"malformed_after_chunks": None})
        if _due(effects.error_after_chunks, number):
            refusal = Refusal(500, "The server had an error while processing your request.")
            await self._write(response, self.answer.broken_off(refusal))
            await self._bill_broken(self._so_far())
            await response.write_eof()
            raise Gone
        if _due(effects.stall_after_chunks, number):
            await hang(self.request)
            raise ConnectionResetError
        if _due(effects.cut_after_chunks, number):
            await self._break(self._so_far())

    async def _break(self, generated: Usage) -> None:
        """Close the connection in the client's face."""
        await self._bill_broken(generated)
        abort(self.request)
        raise Gone

    async def _bill_broken(self, generated: Usage) -> None:
        """Bill an answer that the simulator itself broke off, as the rule says."""
        if self.effects.bill == "none":
            self._billed = True
        usage = self.answer.usage if self.effects.bill == "full" else generated
        if usage != Usage():
            await self._bill(usage, cut=False)

    async def _bill(self, usage: Usage, *, cut: bool) -> None:
        if not self._billed:
            self._billed = True
            await self.post(usage, cut)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        transport = self.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        await response.write(data)

    def _generate_on(self) -> None:
        """Count what the model still generates until it notices that nobody listens."""
        room = self.answer.usage.output - self._generated
        self._generated += min(room, self.allowance)

    def _so_far(self) -> Usage:
        usage = self.answer.usage
        reasoning = min(usage.reasoning, self._generated)
        return usage.model_copy(update={"output": self._generated, "reasoning": reasoning})


def _due(after: int | None, number: int | None) -> bool:
    return after is not None and (number is None or number == after)


async def pause(milliseconds: int | None) -> None:
    """Wait, where a wait was told."""
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)


async def hang(request: web.Request) -> None:
    """Keep the connection open and silent until the client closes it."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)  # aiohttp tells no event when a client leaves


def abort(request: web.Request) -> None:
    """Close the connection with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    transport.abort()


def elapsed_ms(started: float) -> int:
    """Give the time since ``started`` (``time.monotonic()``) in milliseconds."""
    return int((time.monotonic() - started) * 1000)

"""The one small interface behind which provider calls stand, and what implements it.

The request path knows `Upstream`, `UpstreamCall` and `UpstreamAnswer` only; another client can
take the place of `PooledUpstream` without a change elsewhere. Nothing here decides anything:
URL, headers and body arrive complete. Redirects are never followed, no environment proxy and no
cookie is ever used, and no answer is decompressed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from signalbox_proxy.answer_room import FREE, AnswerRoom
from signalbox_proxy.http_client import HttpClient, HttpResponse

CONNECT_TIMEOUT_S = 10.0
IDLE_CONNECTION_S = 15.0
"""Idle connections are given up before providers do, which would lose a request in flight."""


class UpstreamError(Exception):
    """The provider did not answer. `headers` are those of an answer of which the head had come."""

    def __init__(self, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.headers: Mapping[str, str] = headers or {}


class UpstreamConnectError(UpstreamError):
    """No connection came about: not one byte of the request left."""


class UpstreamTimeout(UpstreamError):  # noqa: N818  the state of the call, not a fault
    """The deadline passed after sending: what the provider did is not known."""


class UpstreamBroken(UpstreamError):  # noqa: N818  likewise
    """The connection broke, or the answer was not HTTP, after sending."""


class UpstreamTooLong(UpstreamBroken):
    """The answer is longer than what is taken in: it was made, and surely billed."""


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call of a provider, complete.

    `timeout_s` bounds the whole of it. `first_chunk_s`, where set, bounds the wait for the first
    byte of the answer's body, which `send` then waits for, unless the status is an error.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeout_s: float
    first_chunk_s: float | None = None


class UpstreamAnswer(Protocol):
    """An answer whose head has come. Must be read to its end or closed."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers; look-ups ignore case."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `UpstreamTimeout` or `UpstreamBroken`."""

    async def read(self, limit: int, room: AnswerRoom | None = None) -> bytes:
        """The whole body; `UpstreamTooLong` when it is longer than `limit` bytes.

        A large one is read once there is `room` for it.
        """

    def close(self) -> None:
        """Give up what has not been read; harmless when all of it was."""


class Upstream(Protocol):
    """Calls providers."""

    async def send(self, call: UpstreamCall) -> UpstreamAnswer:
        """Send a call and wait for the head of its answer. Raises an `UpstreamError`."""

    async def close(self) -> None:
        """Close all connections."""


class PooledUpstream:
    """`Upstream` over one `HttpClient`, shared by all calls of the process."""

    def __init__(self) -> None:
        self._client = HttpClient(connect_timeout_s=CONNECT_TIMEOUT_S, keep_s=IDLE_CONNECTION_S)

    async def send(self, call: UpstreamCall) -> "PooledAnswer":
        """See `Upstream`."""
        wait_s = min(call.first_chunk_s or call.timeout_s, call.timeout_s)
        waiting = _Deadline.of_this_task(wait_s)
        response: HttpResponse | None = None
        first = b""
        try:
            response = await self._client.post(call.url, call.headers, call.body)
            if call.first_chunk_s is not None and response.status < 300:
                first = await response.content.readany()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UpstreamConnectError(_reason(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            _close(response)
            raise UpstreamBroken(_reason(error), _headers(response)) from None
        except asyncio.CancelledError:
            _close(response)
            if waiting.passed and waiting.absorbed():
                reason = f"no answer within {wait_s:g} s"
                raise UpstreamTimeout(reason, _headers(response)) from None
            raise
        finally:
            waiting.stop()
        return PooledAnswer(response, first, call.timeout_s - waiting.elapsed())

    async def close(self) -> None:
        """See `Upstream`."""
        await self._client.close()


class _Deadline:
    """A bare timer that cancels the task which waits: a third of what `asyncio.timeout` costs."""

    __slots__ = ("_handle", "_loop", "_since", "_task", "passed")

    def __init__(self, task: "asyncio.Task[object]", seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._task = task
        self._handle = self._loop.call_later(seconds, self._pass)
        self.passed = False

    @classmethod
    def of_this_task(cls, seconds: float) -> "_Deadline":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("providers are called from within a task")
        return cls(task, seconds)

    def elapsed(self) -> float:
        """Seconds since it began."""
        return self._loop.time() - self._since

    def absorbed(self) -> bool:
        """Take back the cancellation; whether nobody else asked for one."""
        return self._task.uncancel() == 0

    def stop(self) -> None:
        """The wait is over."""
        self._handle.cancel()

    def _pass(self) -> None:
        self.passed = True
        self._task.cancel()


class PooledAnswer:
    """An answer that aiohttp is receiving."""

    __slots__ = ("_first", "_left_s", "_overdue", "_response", "_until")

    def __init__(self, response: HttpResponse, first: bytes, left_s: float) -> None:
        self._response = response
        self._first = first
        self._left_s = left_s
        self._until: float | None = None
        self._overdue = False

    @property
    def status(self) -> int:
        """See `UpstreamAnswer`."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """See `UpstreamAnswer`."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `UpstreamAnswer`."""
        self._check_encoding()
        loop = asyncio.get_running_loop()
        if self._until is None:
            self._until = loop.time() + self._left_s
        if self._first:
            first, self._first = self._first, b""
            yield first
        content = self._response.content
        timer = loop.call_at(self._until, self._expire)
        try:
            while chunk := await content.readany():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            if self._overdue:
                raise UpstreamTimeout("the answer did not end in time") from None
            raise UpstreamBroken(_reason(error)) from None
        finally:
            timer.cancel()

    async def read(self, limit: int, room: AnswerRoom | None = None) -> bytes:
        """See `UpstreamAnswer`."""
        content = self._response.content
        if content.is_eof() and not self._first:
            self._check_encoding()
            whole = content.read_nowait()
            if len(whole) > limit:
                raise UpstreamTooLong(f"the answer is longer than {limit} bytes")
            return whole
        pieces: list[bytes] = []
        size = 0
        expected = self._told_length()
        entered: AnswerRoom | None = None
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                self.close()
                raise UpstreamTooLong(f"the answer is longer than {limit} bytes")
            pieces.append(chunk)
            if room is not None and max(size, expected) > FREE:
                await self._enter(room, expected if expected >= size else limit)
                entered, room = room, None
        if entered is not None:
            entered.keep(size)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """See `UpstreamAnswer`."""
        self._response.close()

    async def _enter(self, room: AnswerRoom, size: int) -> None:
        """Wait for room as long as the answer may take; without it, it is given up."""
        until = self._until
        try:
            await room.enter(size, asyncio.get_running_loop().time() if until is None else until)
        except BaseException:
            self.close()
            raise

    def _told_length(self) -> int:
        """The length that the head told, 0 where it told none."""
        told = self._response.headers.get("content-length", "")
        return int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0

    def _expire(self) -> None:
        self._overdue = True
        self._response.close()

    def _check_encoding(self) -> None:
        encoding = self._response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            self.close()
            raise UpstreamBroken("the answer is compressed, which was not asked for")


def _close(response: HttpResponse | None) -> None:
    if response is not None:
        response.close()


def _headers(response: HttpResponse | None) -> Mapping[str, str] | None:
    return None if response is None else response.headers


def _reason(error: Exception) -> str:
    """A sentence without addresses or headers: it may end up in a client's error."""
    return type(error).__name__

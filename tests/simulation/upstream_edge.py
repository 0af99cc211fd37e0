"""The way out of a simulated proxy: stands where `upstream.PooledUpstream` stands.

Deadlines and errors are those of the real one; what comes back comes from `provider`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from signalbox_proxy.answer_room import AnswerRoom
from signalbox_proxy.upstream import (
    UpstreamBroken,
    UpstreamCall,
    UpstreamConnectError,
    UpstreamTimeout,
)
from simulation.provider import Exchange, Provider
from simulation.scheduler import Process


@dataclass(slots=True, eq=False)
class Answer:
    """`UpstreamAnswer` of a simulated call."""

    exchange: Exchange
    status: int
    headers: Mapping[str, str]
    until: float
    first: bytes = b""
    ended: bool = field(default=False)

    async def chunks(self) -> AsyncIterator[bytes]:
        if self.first:
            first, self.first = self.first, b""
            yield first
        while not self.ended:
            try:
                async with asyncio.timeout_at(self.until):
                    what, value = await self.exchange.next()
            except TimeoutError:
                raise UpstreamTimeout("the answer did not end in time") from None
            if what == "broken":
                raise UpstreamBroken("ClientPayloadError")
            if what == "end":
                self.ended = True
                return
            yield value

    async def read(self, limit: int, room: AnswerRoom | None = None) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    def close(self) -> None:
        self.exchange.closed = True


class SimulatedUpstream:
    """`Upstream` of one proxy process."""

    def __init__(
        self, provider: Provider, process: Process, sent: Callable[[int, UpstreamCall], None]
    ) -> None:
        self._provider = provider
        self._process = process
        self._sent = sent

    async def send(self, call: UpstreamCall) -> Answer:
        """See `Upstream`."""
        exchange = self._provider.take(call, self._process)
        self._sent(exchange.number, call)
        loop = asyncio.get_running_loop()
        until = loop.time() + call.timeout_s
        first_until = min(until, loop.time() + (call.first_chunk_s or call.timeout_s))
        headers = {"x-request-id": f"call-{exchange.number}"}
        known: Mapping[str, str] = {}
        status, first = 0, b""
        try:
            async with asyncio.timeout_at(first_until):
                what, status = await exchange.next()
                if what == "refused":
                    raise UpstreamConnectError("ClientConnectorError")
                if what == "broken":
                    raise UpstreamBroken("ServerDisconnectedError")
                known = headers
                if call.first_chunk_s is not None and status < 300:
                    what, first = await exchange.next()
                    if what != "body":
                        raise UpstreamBroken("ClientPayloadError", known)
        except TimeoutError:
            exchange.closed = True
            raise UpstreamTimeout("no answer in time", known) from None
        return Answer(exchange, status, headers, until, first)

    async def close(self) -> None:
        """See `Upstream`."""

"""What a Service of a cluster does, on one machine: each connection goes to the next proxy in turn
that said it was ready when it was last asked.

    async with Balancer() as balancer:
        balancer.add(proxy)
        await balancer.until_ready(proxy)
        ... http://127.0.0.1:{balancer.port} ...

As there, nothing is asked twice: who is not there when a connection comes, breaks it; and who
became unready keeps the connections that it has.
"""

import asyncio
import contextlib
import itertools
from types import TracebackType
from typing import Self

import aiohttp

from support.fleet import ProxyProcess
from support.timing import at_most

ASK_EVERY_S = 0.2
_CHUNK = 65536


class Balancer:
    """Listens on a port of its own; asks every proxy that it knows whether it is ready."""

    def __init__(self) -> None:
        self.port = 0
        self._known: dict[str, ProxyProcess] = {}
        self._ready: set[str] = set()
        self._turn = itertools.count()
        self._told = asyncio.Condition()
        self._pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self._asking = asyncio.create_task(self._keep_asking())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in (self._asking, *self._pipes):
            task.cancel()
        await asyncio.gather(self._asking, *self._pipes, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, proxy: ProxyProcess) -> None:
        self._known[proxy.name] = proxy

    def forget(self, proxy: ProxyProcess) -> None:
        """It has ended."""
        del self._known[proxy.name]

    async def until_ready(self, proxy: ProxyProcess, *, within_s: float = 60.0) -> None:
        async with asyncio.timeout(at_most(within_s)), self._told:
            await self._told.wait_for(lambda: proxy.name in self._ready)

    async def _keep_asking(self) -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while True:
                names = list(self._known)
                ready = await asyncio.gather(*(self._is_ready(http, name) for name in names))
                async with self._told:
                    self._ready = {name for name, yes in zip(names, ready, strict=True) if yes}
                    self._told.notify_all()
                await asyncio.sleep(ASK_EVERY_S)

    async def _is_ready(self, http: aiohttp.ClientSession, name: str) -> bool:
        try:
            async with http.get(f"{self._known[name].metrics_url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _next(self) -> int | None:
        """The traffic port of the next proxy that is ready; None where none is."""
        names = [name for name in self._known if name in self._ready]
        return self._known[names[next(self._turn) % len(names)]].ports["port"] if names else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._next()
        try:
            if port is None:
                raise ConnectionRefusedError("no proxy is ready")
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(_pipe(source, target))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """What one side says, until it ends; then the other side hears that it has."""
    try:
        while piece := await source.read(_CHUNK):
            target.write(piece)
            await target.drain()
    except OSError:
        target.transport.abort()
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            target.close()

"""Unix sockets in memory: ordered within a connection, not between them, and cut at will.

Below `event_loop`. Latency is drawn for each message; a connection keeps its order, as the kernel
does. A link can be cut (what was under way is lost), or become a black hole (what is sent waits,
and nobody hears of it) until it is healed or cut.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from simulation.scheduler import Process, World

_SPLIT = 24
"""One message in so many arrives in two pieces."""


class Link:
    """The way between a client's machine and a path; faults act on it."""

    def __init__(self) -> None:
        self.is_hole = False
        self.refuses = False
        self.slow_us = 0
        self.held: list[tuple[Transport, str, bytes]] = []
        self.connecting: list[tuple[Process, asyncio.Future[None]]] = []


class Transport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: "Network", process: Process, link: Link, name: str) -> None:
        super().__init__()
        self._network = network
        self.process = process
        self.link = link
        self.name = name
        self.protocol: Any = None
        self.peer: Transport
        self.closed = False
        self.gone = False
        self.last_delivery = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send; nothing leaves a process that is dead."""
        if self.closed or not self.process.alive:
            return
        self._network.send(self, bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """Flow control is not simulated: the buffers are large."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `pause_reading`."""

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        """Close this end; what was sent before still arrives, then the other end hears of it."""
        if self.closed:
            return
        self.closed = True
        if self.process.alive:
            self.process.loop.call_soon(self.lose)
        self._network.end(self)

    def lose(self) -> None:
        """The protocol hears that its connection is gone, once."""
        self.closed = True
        if not self.gone and self.protocol is not None:
            self.gone = True
            self.protocol.connection_lost(None)


class Server:
    """What listens on a path."""

    def __init__(self, network: "Network", process: Process, path: str, factory: Any) -> None:
        self.process = process
        self.factory = factory
        self._network = network
        self._path = path

    def close(self) -> None:
        """Listen no more."""
        if self._network.servers.get(self._path) is self:
            del self._network.servers[self._path]


class Network:
    """All connections of the simulation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance("network")
        self._links: dict[tuple[str, str], Link] = {}
        self._number = 0
        self.servers: dict[str, Server] = {}
        self.transports: dict[Transport, None] = {}
        self.heard: dict[str, int] = {}
        """When a process last got anything from another."""

    def link(self, client: str, path: str) -> Link:
        """The way from the process (or machine) of that name to a path."""
        return self._links.setdefault((client, path), Link())

    def latency(self, link: Link) -> int:
        """Microseconds that one message takes: mostly a tenth of a millisecond, now and then far
        more."""
        draw = self._chance.random()
        base = int(60 + 400 * draw * draw)
        if draw > 0.995:
            base += self._chance.randrange(30_000)
        return base + link.slow_us

    def listen(self, process: Process, path: str, factory: Callable[[], Any]) -> Server:
        """Take a path over, as a process does that unlinks a socket and binds it anew."""
        server = Server(self, process, path, factory)
        self.servers[path] = server
        return server

    async def connect(
        self, process: Process, path: str, factory: Callable[[], Any]
    ) -> tuple[Transport, Any]:
        """Connect, or raise ConnectionRefusedError. In a black hole it takes until that ends."""
        link = self.link(process.name, path)
        loop = process.loop
        arrived: asyncio.Future[None] = loop.create_future()
        self._world.at(
            self._world.now + self.latency(link), process, _resolve, arrived, what="connect"
        )
        await arrived
        while link.is_hole:
            mended: asyncio.Future[None] = loop.create_future()
            link.connecting.append((process, mended))
            await mended
        server = self.servers.get(path)
        if server is None or not server.process.alive or link.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        self._number += 1
        near = Transport(self, process, link, f"{process.name}>{self._number}")
        far = Transport(self, server.process, link, f"{server.process.name}<{self._number}")
        near.peer, far.peer = far, near
        for end in (near, far):
            self.transports[end] = None
            end.process.at_death.append(end.close)
        near.protocol = factory()
        near.protocol.connection_made(near)
        accept = self._world.now + self.latency(link)
        near.last_delivery = accept
        self._world.at(accept, server.process, self._accept, far, server, what="accept")
        return near, near.protocol

    def _accept(self, far: Transport, server: Server) -> None:
        if far.closed:
            return
        self._world.note("accept", far.name)
        far.protocol = server.factory()
        far.protocol.connection_made(far)

    def send(self, sender: Transport, data: bytes) -> None:
        """Put a message on its way."""
        if sender.link.is_hole:
            sender.link.held.append((sender, "data", data))
            return
        if len(data) > 16 and self._chance.randrange(_SPLIT) == 0:
            cut = self._chance.randrange(1, len(data))
            self._schedule(sender, data[:cut])
            data = data[cut:]
        self._schedule(sender, data)

    def _schedule(self, sender: Transport, data: bytes) -> None:
        due = max(sender.last_delivery, self._world.now + self.latency(sender.link))
        sender.last_delivery = due
        peer = sender.peer
        self._world.at(due, peer.process, self._deliver, peer, data, what="message")

    def _deliver(self, receiver: Transport, data: bytes) -> None:
        if receiver.closed or receiver.protocol is None:
            return
        if receiver.link.is_hole:
            receiver.link.held.append((receiver.peer, "data", data))
            return
        self._world.note("message", receiver.name, data)
        self.heard[receiver.process.name] = self._world.now
        receiver.protocol.data_received(data)

    def end(self, sender: Transport) -> None:
        """Tell the other end that this one is closed."""
        self.transports.pop(sender, None)
        if sender.link.is_hole:
            sender.link.held.append((sender, "end", b""))
            return
        due = max(sender.last_delivery, self._world.now + self.latency(sender.link))
        self._world.at(due, sender.peer.process, self._ended, sender.peer, what="end")

    def _ended(self, receiver: Transport) -> None:
        if receiver.closed:
            return
        self._world.note("end", receiver.name)
        self.transports.pop(receiver, None)
        if receiver.protocol is not None:
            receiver.protocol.eof_received()
        receiver.lose()

    def cut(self, link: Link) -> None:
        """Break every connection over a link; what was under way is lost."""
        link.held.clear()
        self._admit(link)
        for transport in list(self.transports):
            if transport.link is link and not transport.closed:
                transport.closed = True
                del self.transports[transport]
                self._world.at(self._world.now, transport.process, transport.lose, what="cut")

    def _admit(self, link: Link) -> None:
        """Those who wait to connect look again."""
        waiting, link.connecting = link.connecting, []
        for process, mended in waiting:
            self._world.at(self._world.now, process, _resolve, mended, what="connect")

    def heal(self, link: Link) -> None:
        """A black hole no more: what waited arrives."""
        link.is_hole = False
        self._admit(link)
        held, link.held = link.held, []
        for sender, what, data in held:
            if what == "data":
                self._schedule(sender, data)
            else:
                self.end(sender)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)

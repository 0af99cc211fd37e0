"""Control ports that take what a control plane pushes, and keep note of who was asked when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.control_port import ProxyAddress
from signalbox_snapshot import codec, envelope

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TOKEN = "canary-control-token"


@dataclass
class FleetProxy:
    """A proxy's control port. `log` is shared by the fleet: who was asked, in order.

    While it `hangs` it takes requests and answers none. `asked` counts the requests that began
    then, `told` the answers about the ledger.
    """

    name: str
    log: list[str]
    refuses: str = ""
    verdict: int = 422
    answer: web.Response | None = None
    generations: list[int] = field(default_factory=list)
    version: str | None = None
    url: str = ""
    schemas: tuple[int, ...] = codec.ACCEPTED_SCHEMAS
    ledger: dict[str, int] = field(default_factory=dict)
    hangs: asyncio.Event | None = None
    asked: int = 0
    told: int = 0

    @property
    def address(self) -> ProxyAddress:
        return ProxyAddress(self.name, self.url)

    async def _answers(self) -> None:
        if self.hangs is not None:
            self.asked += 1
            await self.hangs.wait()

    async def holders(self, request: web.Request) -> web.Response:
        await self._answers()
        self.told += 1
        return web.json_response({"holders": []})

    async def put(self, request: web.Request) -> web.Response:
        await self._answers()
        self.log.append(self.name)
        if self.answer is not None:
            return self.answer
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        trusted = envelope.trust(KEY.public_key())
        opened, _ = envelope.open_sealed(await request.read(), trusted, "prod")
        if self.refuses:
            verdict = {"accepted": False, "reason": self.refuses, "path": "$.snapshot.agents"}
            return web.json_response(verdict, status=self.verdict)
        self.generations.append(opened.generation)
        self.version = opened.version
        verdict = {"accepted": True, "generation": opened.generation, "version": opened.version}
        return web.json_response(verdict)

    async def status(self, request: web.Request) -> web.Response:
        await self._answers()
        return web.json_response(
            {
                "name": self.name,
                "holder": "h",
                "ready": bool(self.generations),
                "generation": self.generations[-1] if self.generations else None,
                "version": self.version,
                "since": 5,
                "last_rejection": None,
                "schemas": list(self.schemas),
                "ledger": self.ledger,
            }
        )


@asynccontextmanager
async def listening(count: int) -> AsyncIterator[list[FleetProxy]]:
    """So many control ports on 127.0.0.1, one log for all."""
    log: list[str] = []
    fleet = [FleetProxy(f"proxy-{number}", log) for number in range(count)]
    async with AsyncExitStack() as stack:
        for proxy in fleet:
            app = web.Application(client_max_size=2**24)
            app.router.add_put("/control/v1/snapshot", proxy.put)
            app.router.add_get("/control/v1/status", proxy.status)
            app.router.add_get("/control/v1/holders", proxy.holders)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            proxy.url = f"http://{host}:{port}"
        yield fleet

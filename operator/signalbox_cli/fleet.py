"""The processes of one machine: authority, simulated provider, proxies. Started and ended in order.

The authority comes first and goes last: it is the only owner of the ledger. What processes of an
earlier start left unsettled is recovered before any proxy runs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from signalbox_cli.children import Program
from signalbox_cli.failure import Failure
from signalbox_cli.keeper import Care, Keeper
from signalbox_cli.ports import free_port
from signalbox_cli.settings import UpSettings
from signalbox_cli.state import FLEET
from signalbox_ledger.asking import require_generation
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.opening import DSN_VARIABLE
from signalbox_ledger.recovery import recover_all
from signalbox_operator.control_port import ProxyAddress

PROXY_GRACE_S: Final = 30.0
"""How long a proxy may take to finish what it is answering."""

GRACE_S: Final = 5.0


class Fleet:
    """All child processes. `tell` gets what people should know; `hand_over` gives a proxy that was
    started again the released snapshot."""

    def __init__(
        self,
        settings: UpSettings,
        *,
        tell: Callable[[str], None],
        hand_over: Callable[[ProxyAddress], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._state = settings.state
        self._tell = tell
        self._hand_over = hand_over
        self._authority: Keeper | None = None
        self._simulator: Keeper | None = None
        self._proxies: dict[str, Keeper] = {}
        self.simulate_url: str | None = None

    @property
    def addresses(self) -> tuple[ProxyAddress, ...]:
        """Control ports of the proxies."""
        return tuple(
            ProxyAddress(name, self._settings.control_url(number))
            for number, name in enumerate(self._settings.proxy_names)
        )

    def processes(self) -> dict[str, dict[str, int | None]]:
        """Process ids and restarts by name."""
        keepers = [self._authority, self._simulator, *self._proxies.values()]
        return {
            keeper.program.name: {"pid": keeper.pid, "restarts": keeper.restarts}
            for keeper in keepers
            if keeper is not None
        }

    async def start_authority(self) -> None:
        """Starts the authority and settles what dead proxies left in their journals."""
        state = self._state
        where = ["--postgresql"] if self._settings.ledger_dsn else ["--db", str(state.ledger)]
        arguments = ["--socket", str(state.authority_socket), *where]
        self._authority = self._keeper("authority", "signalbox_ledger.authority", arguments)
        await self._authority.start()
        await self.recover()

    async def start_simulator(self) -> None:
        """Starts the simulated provider, at the address that it had before where that is free."""
        for last in (False, False, True):
            try:
                self.simulate_url = await self._start_simulator()
            except Failure:
                if last:
                    raise
                # Others may have taken the port since it was looked for: the next try is another.
                (self._state.simulator / "port").unlink(missing_ok=True)
            else:
                return

    async def _start_simulator(self) -> str:
        state = self._state
        remembered = state.simulator / "port"
        port = int(remembered.read_text()) if remembered.exists() else free_port("127.0.0.1")
        remembered.write_text(str(port))
        arguments = ["--port", str(port), "--bill", str(state.simulator / "bill.jsonl")]
        arguments += ["--credentials", str(state.credentials), "--answer-tokens", "160", "360"]
        self._simulator = self._keeper("simulator", "signalbox_simulator", arguments)
        return await self._simulator.start()

    async def start_proxies(self) -> None:
        """Starts all proxies; they are not ready before they have a snapshot."""
        for number, name in enumerate(self._settings.proxy_names):
            self._proxies[name] = self._proxy(number, name)
        await asyncio.gather(*(keeper.start() for keeper in self._proxies.values()))

    async def recover(self) -> None:
        """Fences every incarnation whose process is gone and settles its journal."""
        try:
            done = await recover_all(self._state.authority_socket, self._state.journals())
        except LedgerUnavailableError as error:
            raise Failure(f"cannot settle what earlier proxies left: {error}") from None
        for each in done:
            if each.problem:
                self._tell(f"journal of {each.holder} cannot be settled: {each.problem}")
            elif each.runs or each.unknown:
                lost = f", {each.unknown} of them in flight: charged in full" * bool(each.unknown)
                self._tell(f"settled {each.runs} runs of {each.holder}{lost}")
            if each.lost:
                self._tell(
                    f"{each.holder} went down with its machine: {each.lost} slices are charged in "
                    "full, for its journal may lack what was written last"
                )

    async def require_generation(self, generation: int) -> bool:
        """Tells the authority that nothing older may be served by; whether it was told.

        Proxies tell it too: this is for when none of them can be reached.
        """
        try:
            await require_generation(self._state.authority_socket, generation)
        except LedgerUnavailableError:
            return False
        return True

    async def stop(self) -> None:
        """Ends the proxies, which drain, then the simulated provider, then the authority."""
        await asyncio.gather(*(keeper.stop(PROXY_GRACE_S) for keeper in self._proxies.values()))
        for keeper in (self._simulator, self._authority):
            if keeper is not None:
                await keeper.stop(GRACE_S)

    def _proxy(self, number: int, name: str) -> Keeper:
        settings, state = self._settings, self._state
        arguments = ["--name", name, "--state", str(state.proxy(name)), "--fleet", FLEET]
        arguments += ["--authority", str(state.authority_socket)]
        arguments += ["--host", settings.host, "--port", str(settings.port)]
        arguments += ["--control-port", str(settings.control_port + number)]
        arguments += ["--metrics-port", str(settings.metrics_port + number)]
        arguments += ["--control-token", str(state.control_token)]
        arguments += ["--trust", str(state.verification_key)]
        arguments += ["--credentials", str(settings.credentials_folder)]
        address = self.addresses[number]
        for peer in self.addresses:
            arguments += ["--peer", peer.url] if peer != address else []
        care = Care(self._tell, self.recover, lambda: self._hand_over(address))
        return self._keeper(name, "signalbox_proxy", arguments, care)

    def _keeper(
        self, name: str, module: str, arguments: list[str], care: Care | None = None
    ) -> Keeper:
        # The DSN holds a password: only who talks to the database gets it.
        without = () if name == "authority" else (DSN_VARIABLE,)
        program = Program(name, module, arguments, self._state.logs / f"{name}.log", without)
        return Keeper(program, care or Care(self._tell))

"""A ledger on a clock that tests move: the real store, authority and proxies in one event loop.

Nothing sleeps through a window: `Life.now` is what the authority takes for the time, and what each
proxy believes it to be, give or take its `error_ms`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from signalbox_ledger import client
from signalbox_ledger.account_store import Account
from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from signalbox_ledger.connection import Clock
from signalbox_ledger.lanes import Clock as AuthorityClock
from signalbox_ledger.store import Store
from signalbox_ledger.turns import Authority, Connection
from support.ledgers import run_of
from support.timing import at_most


class VirtualClock(Clock):
    """A proxy's clock that follows the life's, wrongly by `error_ms`."""

    __slots__ = ("error_ms", "life")

    def __init__(self, life: "Life") -> None:
        super().__init__()
        self.life = life
        self.error_ms = 0

    def now_ms(self) -> int:
        return self.life.now_ms + self.error_ms


@dataclass
class Life:
    """One store, one authority, some proxies. `now_ms` may be set to anything that is later."""

    store: Store
    folder: Path
    now_ms: int
    generation: int = 0
    proxies: list[ProxyLedger] = field(default_factory=list)
    runs: int = 0

    async def apply(self, *specs: BudgetSpec) -> None:
        """A snapshot with these budgets reaches every proxy."""
        self.generation += 1
        for proxy in self.proxies:
            await proxy.configure(self.generation, specs)

    async def held(self, claims: Sequence[Claim], *, proxy: int = 0) -> Hold:
        """A hold for which there is room."""
        hold = await self.proxies[proxy].hold(claims, wait_s=at_most(30))
        assert isinstance(hold, Hold), hold
        return hold

    async def spend(
        self, claims: Sequence[Claim], spent: int | None = None, *, proxy: int = 0
    ) -> Shortage | None:
        """One request: held, answered, recorded. None, or why it was refused."""
        hold = await self.proxies[proxy].hold(claims, wait_s=at_most(30))
        if isinstance(hold, Shortage):
            return hold
        self.end(hold, claims, spent, proxy=proxy)
        return None

    def end(
        self, hold: Hold, claims: Sequence[Claim], spent: int | None = None, *, proxy: int = 0
    ) -> None:
        """The answer came: what was held, or `spent`, was billed."""
        ledger = self.proxies[proxy]
        billed = [claim.amount if spent is None else spent for claim in claims]
        self.runs += 1
        parts = ledger.settle(hold, billed)
        run = run_of(ledger, f"r{self.runs}", parts, generation=self.generation)
        ledger.record(run)

    async def settled(self) -> None:
        """The authority has every record."""
        for proxy in self.proxies:
            await proxy.find_run("none")

    def figures(self, spec: BudgetSpec, start: int, subject: str = "") -> Figures:
        """How an account stands, held amounts included; zeros where there is none."""
        account: Account = (spec.id, spec.basis, subject, start)
        with self.store.transaction():
            found = self.store.accounts.standing([account])
        return found.get(account, Figures(spec.limit, 0, 0, 0))

    def starts(self, spec: BudgetSpec) -> list[int]:
        """The windows of a budget that have an account."""
        with self.store.transaction():
            rows = self.store.database.query(
                "SELECT DISTINCT window_start FROM account WHERE budget = ? AND basis = ? "
                "ORDER BY window_start",
                (spec.id, spec.basis),
            )
        return [start for (start,) in rows]


@asynccontextmanager
async def living(
    store: Store, folder: Path, *, now: int, proxies: int = 1, errors_ms: Sequence[int] = ()
) -> AsyncIterator[Life]:
    """An authority on a socket and `proxies` ledgers, at `now` (seconds since the epoch)."""
    life = Life(store, folder, now * 1000)
    authority = Authority(store, AuthorityClock(lambda: life.now_ms))
    socket = folder / "life.sock"
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Connection(authority), str(socket))
    async with AsyncExitStack() as stack:
        stack.callback(server.close)
        for number in range(proxies):
            clock = VirtualClock(life)
            clock.error_ms = errors_ms[number] if errors_ms else 0
            with patch.object(client, "Clock", lambda clock=clock: clock):
                ledger = await ProxyLedger.open(
                    name=f"p{number}", socket=socket, journal_dir=folder / f"p{number}"
                )
            stack.push_async_callback(ledger.close)
            life.proxies.append(ledger)
        yield life

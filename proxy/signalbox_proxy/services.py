"""What one proxy process owns, and every request uses."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from signalbox_ledger.client import ProxyLedger
from signalbox_proxy.cache_affinity import CacheAffinity
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.metrics import Metrics
from signalbox_proxy.quarantine import Quarantine
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.signin.identities import Identities
from signalbox_proxy.upload_room import UploadRoom
from signalbox_proxy.upstream import Upstream

CATCH_UP_S = 1.0
"""From the moment that a proxy's snapshot is found too old: so long requests wait for the next."""

LEDGER_WAIT_S = 15.0
"""A newcomer waits so long for its ledger; then it serves at least what no budget binds."""


@dataclass(slots=True, eq=False)
class Services:
    """The parts of one process. `runtime` is replaced as a whole, by one assignment.

    `identities` are None in a process whose lanes never sign in. `in_flight` are the tasks of
    requests under way: what a stopping process waits for.
    """

    name: str
    ledger: ProxyLedger
    upstream: Upstream
    credentials: CredentialStore
    metrics: Metrics
    quarantine: Quarantine = field(default_factory=Quarantine)
    affinity: CacheAffinity = field(default_factory=CacheAffinity)
    identities: Identities | None = None
    runtime: Runtime | None = None
    stopping: bool = False
    in_flight: set["asyncio.Task[object]"] = field(default_factory=set)
    uploads: UploadRoom = field(default_factory=UploadRoom)
    _renewed: asyncio.Event = field(default_factory=asyncio.Event)
    _outdated_since: float | None = None
    _began: float = field(default_factory=time.monotonic)

    @property
    def ready(self) -> bool:
        """Whether it may get traffic: it has a snapshot that is not too old, has reached the
        ledger once or waited for it, and is not about to stop. A ledger that is lost later changes
        nothing: there are slices, and all proxies would be unready at once."""
        return (
            self.runtime is not None
            and not self.is_outdated
            and not self.stopping
            and (self.ledger.was_reached or time.monotonic() - self._began >= LEDGER_WAIT_S)
        )

    @property
    def is_outdated(self) -> bool:
        """Whether something was taken away that the snapshot in force still permits."""
        return self.runtime is not None and self.runtime.generation < self.ledger.min_generation

    def quarantined_lanes(self) -> list[str]:
        """The lanes of the snapshot in force that are not called, as their bound did not hold."""
        return [] if self.runtime is None else self.quarantine.among(self.runtime.models.values())

    def take_up(self, runtime: Runtime) -> None:
        """Put a snapshot in force: one assignment between two requests."""
        self.runtime = runtime
        self._outdated_since = None
        self._renewed.set()
        self._renewed = asyncio.Event()

    async def runtime_in_force(self) -> Runtime:
        """As `current_runtime`; where a revocation was just released, waits a moment for the
        snapshot that is on its way to every proxy, so that a rollout refuses nobody."""
        runtime = self.runtime
        if runtime is not None and runtime.generation >= self.ledger.min_generation:
            return runtime
        if self.is_outdated:
            now = asyncio.get_running_loop().time()
            if self._outdated_since is None:
                self._outdated_since = now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._outdated_since + CATCH_UP_S):
                    while self.is_outdated:
                        await self._renewed.wait()
        return self.current_runtime()

    def current_runtime(self) -> Runtime:
        """The snapshot in force, or `Refusal` with `not_ready` or `snapshot_outdated`."""
        runtime = self.runtime
        if runtime is None:
            raise Refusal(
                "not_ready", "This proxy has no configuration yet. Try again.", retry_after_s=2
            )
        self.check_in_force(runtime)
        return runtime

    def check_in_force(self, runtime: Runtime) -> None:
        """Nothing was taken away since this snapshot, or `Refusal("snapshot_outdated")`."""
        needed = self.ledger.min_generation
        if runtime.generation < needed:
            raise Refusal(
                "snapshot_outdated",
                "Keys, agents or residency locks have changed, and this proxy has not the "
                f"configuration yet: it needs generation {needed} and this request began under "
                f"{runtime.generation}. Try again.",
                retry_after_s=1,
            )

"""What one proxy process owns, and every request uses."""

import asyncio
from dataclasses import dataclass, field

from signalbox_ledger.client import ProxyLedger
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.metrics import Metrics
from signalbox_proxy.quarantine import Quarantine
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.upstream import Upstream


@dataclass(slots=True, eq=False)
class Services:
    """The parts of one process. `runtime` is replaced as a whole, by one assignment.

    `in_flight` are the tasks of requests under way: what a stopping process waits for.
    """

    name: str
    ledger: ProxyLedger
    upstream: Upstream
    credentials: CredentialStore
    metrics: Metrics
    quarantine: Quarantine = field(default_factory=Quarantine)
    runtime: Runtime | None = None
    stopping: bool = False
    in_flight: set["asyncio.Task[object]"] = field(default_factory=set)

    @property
    def ready(self) -> bool:
        """Whether it may get traffic: it has a snapshot and is not about to stop."""
        return self.runtime is not None and not self.stopping

    def current_runtime(self) -> Runtime:
        """The snapshot in force, or `Refusal("not_ready")`."""
        if self.runtime is None:
            raise Refusal(
                "not_ready", "This proxy has no configuration yet. Try again.", retry_after_s=2
            )
        return self.runtime

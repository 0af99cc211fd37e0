"""What is known of the fleet and of the accounts when status is written. Values only."""

from dataclasses import dataclass
from typing import Self

from signalbox_operator.control_port import ProxyStatus, Rejected


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """One proxy as last heard. `generation` and `version` are None before its first snapshot."""

    name: str
    ready: bool
    generation: int | None = None
    version: str | None = None
    rejection: Rejected | None = None

    @classmethod
    def of(cls, status: ProxyStatus, rejection: Rejected | None = None) -> Self:
        """From what a proxy says of itself, with a rejection of the head where one is known."""
        return cls(status.name, status.ready, status.generation, status.version, rejection)


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The released generation (0: none) with its version, and the proxies."""

    generation: int = 0
    version: str = ""
    proxies: tuple[ProxyFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One account of a budget in its current window, in the budget's unit (usd: nano-USD).

    `subject` is "" for the shared account, else the user, session or agent. `window_start` and
    `window_end` are seconds since the epoch, 0 for lifetime. `refused`: a request was refused in
    this window because the account could not cover it.
    """

    budget: str
    subject: str
    limit: int
    settled: int
    held: int
    overrun: int
    window_start: int = 0
    window_end: int = 0
    refused: bool = False

    @property
    def remaining(self) -> int:
        """What would be left if everything held were released; below 0 after an overrun."""
        return self.limit - self.settled - self.overrun

    @property
    def exhausted(self) -> bool:
        """Nothing is left, or too little for a request that came."""
        return self.remaining <= 0 or self.refused

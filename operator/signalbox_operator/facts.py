"""What is known of the fleet and of the accounts when status is written. Values only."""

from dataclasses import dataclass
from typing import Self

from signalbox_operator.control_port import ProxyStatus, Rejected


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """One proxy as last heard. `generation` and `version` are None before its first snapshot.

    `quarantined` are lanes that it does not call, as `namespace/model/lane`: their provider billed
    above the bound.
    """

    name: str
    ready: bool
    generation: int | None = None
    version: str | None = None
    rejection: Rejected | None = None
    quarantined: tuple[str, ...] = ()

    @classmethod
    def of(cls, status: ProxyStatus, rejection: Rejected | None = None) -> Self:
        """From what a proxy says of itself, with a rejection of the head where one is known."""
        return cls(
            status.name,
            status.ready,
            status.generation,
            status.version,
            rejection,
            status.quarantined,
        )


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The released generation (0: none) with its version, and the proxies."""

    generation: int = 0
    version: str = ""
    proxies: tuple[ProxyFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """One account of a budget `per` user, session or agent; amounts as in `AccountFacts`.

    `subject` is told as the ledger's side gives it: a pseudonym where the name is a person's.
    """

    subject: str
    settled: int
    held: int
    overrun: int
    remaining: int


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The accounts of one budget in the current window, in its unit (usd: nano-USD).

    `limit` is what each account may spend; `settled`, `held` and `overrun` are sums over the
    accounts; `remaining` (limit - settled - overrun) is that of the account with the least.
    `window_start` and `window_end` are seconds since the epoch, 0 for lifetime. With `per`,
    `subjects` counts the accounts in use and `exhausted_subjects` those with nothing left.
    `refused`: a request was refused in this window because too little was left for it, and more
    than is left now would be needed. `worst` are the accounts with the least remaining, those
    first. `exhausts_at` is when all will be used at the rate of the recent past, in seconds; 0
    where that is not before the window ends.
    """

    budget: str
    limit: int
    settled: int
    held: int
    overrun: int
    remaining: int
    window_start: int = 0
    window_end: int = 0
    subjects: int = 0
    exhausted_subjects: int = 0
    refused: bool = False
    worst: tuple[SubjectFacts, ...] = ()
    exhausts_at: int = 0

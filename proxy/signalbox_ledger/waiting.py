"""One hold that waits for a draw: what it asks for, what it was told, how long it may take."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from signalbox_ledger.holder import Claim, Hold, Key
from signalbox_ledger.protocol import Grant
from signalbox_ledger.shortage import Shortage, ShortageReason

Answers = Mapping[Key, tuple[str, Grant]]
"""What a draw gave by account, and for which agent it was drawn."""


@dataclass(slots=True, eq=False)
class Waiter:
    """`asked_in` is the last draw that asked for it, `lacks` what the authority said of each
    account that it claims. An impatient one is refused after the next answer."""

    claims: Sequence[Claim]
    future: "asyncio.Future[Hold | Shortage]"
    began_at: float
    asked_in: int = 0
    answered: bool = False
    impatient: bool = False
    lacks: dict[Key, Grant] = field(default_factory=dict)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def told(self, answers: Answers) -> None:
        """A draw that asked for it was answered."""
        self.answered = True
        for claim in self.claims:
            key = claim.budget, claim.subject
            if key in answers:
                agent, grant = answers[key]
                if agent == claim.agent or not grant.too_many:
                    self.lacks[key] = grant

    @property
    def hopeless(self) -> tuple[ShortageReason, Claim] | None:
        """The claim that no waiting helps, the first of several."""
        for claim in self.claims:
            grant = self.lacks.get((claim.budget, claim.subject))
            if grant and grant.too_many:
                return "subjects", claim
            figures = grant.figures if grant else None
            # Where nobody looked what is held, all needs of this account were covered.
            if figures and figures.held is not None and figures.remaining < claim.amount:
                return "exhausted", claim
        return None

    @property
    def is_unknown(self) -> bool:
        """Whether it claims from a budget that the authority does not know."""
        return any(grant.figures is None for grant in self.lacks.values())


def next_batch(waiters: Sequence[Waiter], room: int) -> list[Waiter]:
    """Whom to draw for, in order: with so many claims in all, or with those of one waiter. Where
    not all fit, those who waited longest for a draw."""
    chosen: set[Waiter] = set()
    for waiter in sorted(waiters, key=lambda waiter: waiter.asked_in):
        room -= len(waiter.claims)
        if room < 0 and chosen:
            break
        chosen.add(waiter)
    return [waiter for waiter in waiters if waiter in chosen]

"""Says why a hold could not be had, with the figures that the authority gave. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.holder import Claim, HeldAccount, Holdings
from signalbox_ledger.money import MAX_AMOUNT
from signalbox_ledger.protocol import Grant

MAX_NAME = 512

ShortageReason = Literal["exhausted", "held", "unavailable", "subjects"]


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a hold could not be had; nothing is held.

    exhausted: the authority could not cover it were every hold released. held: it could, and
    they were not released in time. unavailable: the authority does not answer, or knows of no
    such budget. subjects: the account would be a new one, and the agent has opened as many in this
    window as it may (`most_subjects`). `remaining` is limit - settled - overrun as the authority
    knows it; `affordable` is what a hold could be right now; `window_end` is in seconds since the
    epoch, 0 for lifetime.
    """

    budget: str
    subject: str
    unit: str
    reason: ShortageReason
    needed: int
    limit: int
    remaining: int
    affordable: int
    window_end: int
    most_subjects: int = 0


def check_claims(claims: Sequence[Claim]) -> None:
    """Raise ValueError for what cannot be sent to the authority."""
    for claim in claims:
        if not 0 <= claim.amount <= MAX_AMOUNT:
            raise ValueError(f"claim on {claim.budget}: {claim.amount} is no amount")
        for name in (claim.budget, claim.subject, claim.agent):
            if len(name) > MAX_NAME or not _is_text(name):
                raise ValueError(f"claim on {claim.budget[:80]!a}: a name above {MAX_NAME}")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def tightest(claims: Sequence[Claim], holdings: Holdings, now: int) -> Claim:
    """The claim that lacks most of what it needs."""

    def missing(claim: Claim) -> int:
        account = holdings.accounts.get((claim.budget, claim.subject))
        return claim.amount - (account.free_at(now) if account else 0)

    return max(claims, key=missing)


def release_surplus(claims: Sequence[Claim], holdings: Holdings, lacking: Claim) -> None:
    """What was drawn for the other claims goes back, where that is scarce."""
    for claim in claims:
        account = holdings.accounts.get((claim.budget, claim.subject))
        if account is not None and claim is not lacking and (account.exact or account.is_tight):
            account.used_at = 0
            holdings.touch(account)


def shortage_of(
    claim: Claim,
    reason: ShortageReason,
    *,
    account: HeldAccount | None,
    grant: Grant | None,
    spec: BudgetSpec | None,
    now: int,
) -> Shortage:
    """The shortage of one claim, by the latest figures that are known here."""
    known = (grant.figures if grant else None) or (account.figures if account else None)
    figures = known or Figures(limit=spec.limit if spec else 0, granted=0, held=0, overrun=0)
    free = account.free_at(now) if account is not None else 0
    window_end = spec.window(now)[1] if spec else 0
    return Shortage(
        budget=claim.budget,
        subject=claim.subject,
        unit=spec.unit if spec else "",
        reason=reason,
        needed=claim.amount,
        limit=figures.limit,
        remaining=max(0, figures.remaining) if known else 0,
        affordable=free + (max(0, figures.headroom) if reason != "unavailable" else 0),
        window_end=grant.window_end if grant else window_end,
        most_subjects=grant.too_many if grant else 0,
    )

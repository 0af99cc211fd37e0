"""Reads what a proxy's control port, or an authority, tells of budgets: a document to facts.

Pure. The document is made by `signalbox_ledger.status_document`; fields of later releases are
ignored, so that an operator understands proxies of the release before and after.
"""

from typing import Annotated, Any, Final

import msgspec

from signalbox_operator.compiler import bounds
from signalbox_operator.facts import AccountFacts, SubjectFacts

MAX_BUDGETS: Final = bounds.PLATFORM["Budget"] + bounds.TENANTS["Budget"]
"""As many as the compiler lets in: a document of one more is none of ours."""
MAX_WORST: Final = 1_000

_Text = Annotated[str, msgspec.Meta(max_length=512)]


class _Subject(msgspec.Struct, frozen=True):
    subject: _Text
    settled: int
    held: int
    overrun: int
    remaining: int
    refused: bool = False


class _Budget(msgspec.Struct, frozen=True):
    budget: _Text
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
    worst: Annotated[tuple[_Subject, ...], msgspec.Meta(max_length=MAX_WORST)] = ()


class Accounts(msgspec.Struct, frozen=True):
    """What is told of all budgets at an instant (milliseconds, the ledger's clock)."""

    now_ms: int
    budgets: Annotated[tuple[_Budget, ...], msgspec.Meta(max_length=MAX_BUDGETS)]

    def facts(self) -> tuple[AccountFacts, ...]:
        """One for each budget."""
        return tuple(_facts(each) for each in self.budgets)


_DECODER: Final = msgspec.json.Decoder(Accounts)


def decoded(body: bytes) -> Accounts:
    """What a control port answered. Raises ValueError where it is no such document."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a list of accounts: {error}") from error


def facts_of(budgets: list[dict[str, Any]]) -> tuple[AccountFacts, ...]:
    """Facts from the document itself, where both are in one process."""
    return tuple(_facts(msgspec.convert(each, _Budget)) for each in budgets)


def _facts(budget: _Budget) -> AccountFacts:
    return AccountFacts(
        budget=budget.budget,
        limit=budget.limit,
        settled=budget.settled,
        held=budget.held,
        overrun=budget.overrun,
        remaining=budget.remaining,
        window_start=budget.window_start,
        window_end=budget.window_end,
        subjects=budget.subjects,
        exhausted_subjects=budget.exhausted_subjects,
        refused=budget.refused,
        worst=tuple(
            SubjectFacts(each.subject, each.settled, each.held, each.overrun, each.remaining)
            for each in budget.worst
        ),
    )

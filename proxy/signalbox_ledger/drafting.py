"""What draws come to: pure, on figures that `granting` has read.

Part of `store`. Orders are taken one after the other, each as if it were alone with what those
before it left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from signalbox_ledger.account_store import Account
from signalbox_ledger.accounts import BudgetSpec, Figures, grant_amount
from signalbox_ledger.protocol import DrawItem, Grant


class Order(NamedTuple):
    """One draw of one holder."""

    holder: str
    items: Sequence[DrawItem]


@dataclass(frozen=True, slots=True)
class Target:
    """Where one item of a draw draws from, and for whom."""

    account: Account
    end: int
    spec: BudgetSpec
    agent: str
    holder: str


@dataclass(slots=True)
class Draft:
    """What orders come to, so far: amounts by slice, slices whose needs are not all covered,
    accounts that their agents may not open. `drawn` were granted before."""

    targets: dict[str, Target]
    drawn: dict[str, Grant]
    standing: dict[Account, Figures]
    amounts: dict[str, int] = field(default_factory=dict)
    unmet: set[str] = field(default_factory=set)
    too_many: set[Account] = field(default_factory=set)


def target_of(
    item: DrawItem, specs: Mapping[str, BudgetSpec], now: int, holder: str
) -> Target | None:
    """The account of a draw; None where the budget is unknown, or counts otherwise by now."""
    spec = specs.get(item.budget)
    if spec is None or spec.basis != item.basis:
        return None
    start, end = spec.window(now)
    if item.upcoming and end:
        start, end = spec.window(end)
    return Target((spec.id, spec.basis, item.subject, start), end, spec, item.agent, holder)


def share_out(items: Sequence[DrawItem], draft: Draft) -> dict[Account, int]:
    """What each item gets, in order, as if it were alone with the figures that `draft` has
    by then; the sums by account."""
    sums: dict[Account, int] = {}
    for item in items:
        target = draft.targets[item.slice_id]
        figures = draft.standing.get(target.account) or Figures(target.spec.limit, 0, None, 0)
        amount, lacks = grant_amount(
            figures.headroom,
            needs=item.needs,
            free=item.free,
            want=item.want,
            exact=target.spec.per is not None and item.subject != "",
        )
        draft.amounts[item.slice_id] = amount
        if lacks:
            draft.unmet.add(item.slice_id)
        sums[target.account] = sums.get(target.account, 0) + amount
        draft.standing[target.account] = msgspec.structs.replace(
            figures, granted=figures.granted + amount
        )
    return sums


def grant_of(item: DrawItem, draft: Draft) -> Grant:
    """What one item got."""
    if item.slice_id in draft.drawn:
        return draft.drawn[item.slice_id]
    target = draft.targets.get(item.slice_id)
    if target is None:
        return Grant(item.slice_id, 0, 0, 0, None)
    start = target.account[3]
    if target.account in draft.too_many:
        figures = Figures(target.spec.limit, 0, None, 0)
        most = target.spec.new_subjects or 0
        return Grant(item.slice_id, 0, start, target.end, figures, most)
    figures = draft.standing[target.account]
    amount = draft.amounts.get(item.slice_id, 0)
    return Grant(item.slice_id, amount, start, target.end, figures)

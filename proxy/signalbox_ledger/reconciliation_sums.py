"""Compares what a provider counted by day and model with what the ledger charged.

Pure. Sums tell that something differs, not which run: they are shown, never booked. Days are UTC,
as providers' are. What the export does not tell (a usage report knows no money, a cost report no
tokens) is not compared.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from signalbox_ledger.reconciliation_export import BilledSum
from signalbox_ledger.reconciliation_ledger import DAY_MS, LedgerSum
from signalbox_ledger.reconciliation_values import PICO_PER_NANO, model_key

MEASURES: Final = ("requests", "input", "cached", "output")
"""Counts that both sides may tell; requests are shown, for providers count retries differently."""


class Side(msgspec.Struct, kw_only=True):
    """One side's counts and money; None where it does not tell."""

    requests: int | None = None
    input: int | None = None
    cached: int | None = None
    output: int | None = None
    pico: int | None = None


class SumLine(msgspec.Struct, kw_only=True):
    """One day (its start in milliseconds) and model ("" for all), both sides.

    `slack_pico` is by how much the ledger may be above the bill for rounding every line up;
    `unknown` attempts of the ledger were charged in full and have no tokens.
    """

    day: int
    model: str
    ledger: Side
    billed: Side
    slack_pico: int = 0
    unknown: int = 0
    unknown_nano: int = 0

    def differs(self, tolerance_nano: int) -> bool:
        """Whether money is apart by more than rounding and tolerance, or tokens at all."""
        tokens = any(
            getattr(self.billed, name) is not None
            and getattr(self.billed, name) != getattr(self.ledger, name)
            for name in MEASURES[1:]
        )
        if tokens or self.billed.pico is None or self.ledger.pico is None:
            return tokens
        excess = self.ledger.pico - self.billed.pico
        allowed = tolerance_nano * PICO_PER_NANO
        return not -allowed <= excess <= allowed + self.slack_pico


def days_of(sums: Iterable[BilledSum]) -> tuple[int, int]:
    """The first day and the one behind the last, in milliseconds. Raises ValueError."""
    days = [_day(each) for each in sums]
    return min(days), max(days) + DAY_MS


def compare(billed: Sequence[BilledSum], charged: Iterable[LedgerSum]) -> list[SumLine]:
    """A line for every day and model that either side knows, in order.

    Where the export does not tell models apart, neither does the result. Raises ValueError for a
    bucket that is longer than a day.
    """
    by_model = all(each.model for each in billed)
    days = days_of(billed)
    told = {
        name: any(getattr(each, name) is not None for each in billed)
        for name in (*MEASURES, "pico")
    }
    lines: dict[tuple[int, str], SumLine] = {}

    def line(day: int, model: str) -> SumLine:
        key = (day, model_key(model) if by_model else "")
        blank = {name: 0 if is_told else None for name, is_told in told.items()}
        if key not in lines:
            shown = model if by_model else ""
            made = SumLine(day=day, model=shown, ledger=Side(**blank), billed=Side(**blank))
            lines[key] = made
        return lines[key]

    for each in billed:
        _add(line(_day(each), each.model).billed, each)
    for cost in charged:
        if not days[0] <= cost.day < days[1]:
            continue
        found = line(cost.day, cost.upstream_model)
        _add(found.ledger, cost)
        if found.ledger.pico is not None:
            found.ledger.pico += cost.nano * PICO_PER_NANO
        found.slack_pico += cost.lines * PICO_PER_NANO
        found.unknown += cost.unknown
        found.unknown_nano += cost.unknown_nano
    return [lines[key] for key in sorted(lines)]


def _add(side: Side, counted: BilledSum | LedgerSum) -> None:
    for name in (*MEASURES, "pico"):
        value, sum_so_far = getattr(counted, name, None), getattr(side, name)
        if value is not None and sum_so_far is not None:
            setattr(side, name, sum_so_far + value)


def _day(billed: BilledSum) -> int:
    first = billed.start - billed.start % DAY_MS
    last = billed.end - 1 - (billed.end - 1) % DAY_MS
    if first != last:
        raise ValueError("a bucket is longer than a day (in UTC); ask for buckets of 1d")
    return first

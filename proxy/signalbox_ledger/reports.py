"""Runs, tokens and money by group, answered at once however long the record has grown.

Whole days and hours come from `period_sum`, the broken hours at both ends from the facts
themselves, so that every instant can be asked for and a sum of parts is always the whole.
Amounts are integer nano-USD, instants are milliseconds, `since` is included and `until` is not.
Money and tokens stand under the lane of the attempt that caused them, runs under the lane that
answered. Corrections count at the instant they were posted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

from signalbox_ledger.database import Dialect
from signalbox_ledger.periods import period_term
from signalbox_ledger.reading import LedgerReader

Dimension = Literal["domain", "agent", "model", "lane", "region", "workload", "focus_account"]
Period = Literal["hour", "day", "week", "month", "quarter"]

DIMENSIONS: tuple[str, ...] = get_args(Dimension)
PERIODS: tuple[str, ...] = get_args(Period)

PPM = 1_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What is added up. `failed_floor`: runs with a failed verdict; `locked`: runs under a
    residency lock; `scored` and `score_sum` (ppm) make the mean score."""

    runs: int = 0
    answered: int = 0
    refused: int = 0
    failed_floor: int = 0
    locked: int = 0
    not_compliant: int = 0
    scored: int = 0
    score_sum: int = 0
    tokens_input: int = 0
    tokens_cached: int = 0
    tokens_output: int = 0
    cost_nano_usd: int = 0
    base_nano_usd: int = 0
    premium_nano_usd: int = 0
    cache_saving_nano_usd: int = 0
    batch_saving_nano_usd: int = 0

    @property
    def mean_score(self) -> int | None:
        """Mean score in ppm, rounded down; None where no run was scored."""
        return self.score_sum // self.scored if self.scored else None


class SpendLine(msgspec.Struct, frozen=True, kw_only=True):
    """One group. `key` has a value for each name asked for; `share_ppm` is of the total cost,
    rounded down."""

    key: dict[str, str]
    sums: Sums
    share_ppm: int


class SpendReport(msgspec.Struct, frozen=True, kw_only=True):
    """Spend by group: in order of time where a period was asked for, then the dearest first."""

    by: tuple[str, ...]
    since: int
    until: int
    lines: list[SpendLine]
    total: Sums


def spend(reader: LedgerReader, *, by: Sequence[str], since: int, until: int) -> SpendReport:
    """Runs, tokens and money by group, with each group's share of the total.

    `by` names DIMENSIONS and at most one of PERIODS (UTC; a week is named by its Monday).
    Raises ValueError for anything else.
    """
    names = tuple(dict.fromkeys(by))
    if unknown := [name for name in names if name not in DIMENSIONS + PERIODS]:
        choice = ", ".join(DIMENSIONS + PERIODS)
        raise ValueError(f"cannot report by {unknown[0]!r}; choose from {choice}")
    periods = [name for name in names if name in PERIODS]
    if len(periods) > 1:
        raise ValueError(f"choose one period of {', '.join(periods)}: they contain each other")
    rows = reader.database.query(
        _spend_statement(reader.database.dialect, names, periods),
        _ranges(since, until, by_hour="hour" in names),
    )
    sums = [_sums(row) for row in rows]
    total = _total(sums)
    lines = [
        SpendLine(
            key={name: str(row[f"key_{name}"]) for name in names},
            sums=one,
            share_ppm=one.cost_nano_usd * PPM // total.cost_nano_usd if total.cost_nano_usd else 0,
        )
        for row, one in zip(rows, sums, strict=True)
    ]
    return SpendReport(by=names, since=since, until=until, lines=lines, total=total)


_PARTS = (
    *((f"FROM period_sum WHERE span = {span} AND") for span in (HOUR_MS, DAY_MS, HOUR_MS)),
    *("FROM run_fact WHERE", "FROM charge_fact WHERE") * 2,
)
"""Where each of `_ranges` is read from."""


def _spend_statement(dialect: Dialect, names: Sequence[str], periods: Sequence[str]) -> str:
    measures = Sums.__struct_fields__
    columns = ", ".join((*DIMENSIONS, *measures))
    parts = " UNION ALL ".join(
        f"SELECT timestamp, {columns} {part} timestamp >= ? AND timestamp < ?" for part in _PARTS
    )
    terms = {name: period_term(dialect, name) if name in PERIODS else name for name in names}
    keys = "".join(f"{term} AS key_{name}, " for name, term in terms.items())
    sums = ", ".join(f"coalesce(sum({measure}), 0) AS {measure}" for measure in measures)
    groups = [f"key_{name}" for name in names]
    grouped = f" GROUP BY {', '.join(groups)}" if groups else ""
    times = [f"key_{name}" for name in periods]
    order = ", ".join((*times, "cost_nano_usd DESC", "runs DESC", *groups))
    return (
        f"SELECT {keys}{sums} FROM ({parts}) AS part"  # noqa: S608
        f"{grouped} ORDER BY {order}"
    )


def _ranges(since: int, until: int, *, by_hour: bool) -> list[int]:
    """Begin and end of each of `_PARTS`: hours, days, hours, and the broken hours at both ends.

    Whole days, whole hours around them, broken hours around those; all in [since, until).
    """
    hours, hours_end = _whole(since, until, HOUR_MS)
    days, days_end = (hours_end, hours_end) if by_hour else _whole(hours, hours_end, DAY_MS)
    return [
        *(hours, days, days, days_end, days_end, hours_end),
        *(since, hours) * 2,
        *(hours_end, until) * 2,
    ]


def _whole(since: int, until: int, span: int) -> tuple[int, int]:
    """Begin and end of the whole periods inside; both `until` where there is none."""
    begin, end = -(-since // span) * span, until // span * span
    return (begin, end) if begin < end else (until, until)


def _sums(row: Mapping[str, Any]) -> Sums:
    return Sums(**{measure: row[measure] for measure in Sums.__struct_fields__})


def _total(parts: Iterable[Sums]) -> Sums:
    rows = [msgspec.structs.asdict(part) for part in parts]
    return Sums(**{name: sum(row[name] for row in rows) for name in Sums.__struct_fields__})

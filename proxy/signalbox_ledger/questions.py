"""What an owner of spend asks of the record: assets, floors, residency, growth, budgets.

Built on `reports.spend` where sums by the hour answer, and on the indexes of the facts where they
do not. Amounts are integer nano-USD, instants are milliseconds, `since` is included and `until`
is not.
"""

import msgspec

from signalbox_ledger.database import Dialect
from signalbox_ledger.reading import LedgerReader, RunFilter, RunSummary
from signalbox_ledger.reports import SpendReport, Sums, spend

_HOLDS: dict[Dialect, tuple[str, str, str]] = {
    "sqlite": (
        *("json_each(a.holds) AS h", "json_extract(h.value, '$.budget')"),
        "json_extract(h.value, '$.spent')",
    ),
    "postgresql": (
        *("json_array_elements(a.holds::json) AS h (value)", "h.value ->> 'budget' COLLATE \"C\""),
        "(h.value ->> 'spent')::bigint",
    ),
}
"""The holds of an attempt as rows, their budget, and what was spent of each."""


class AssetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that touched a data asset: how many in all, and the newest of them."""

    asset: str
    runs: int
    newest: list[RunSummary]


class FailedFloorLine(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of one agent and workload whose answer failed an assertion, and what they cost."""

    domain: str
    agent: str
    workload: str
    runs: int
    cost_nano_usd: int


class ResidencyLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one domain paid for place, against whether its runs kept to their place."""

    domain: str
    runs: int
    locked: int
    not_compliant: int
    cost_nano_usd: int
    premium_nano_usd: int


class GrowthLine(msgspec.Struct, frozen=True, kw_only=True):
    """One agent in this period and in the one of equal length before it. Scores in ppm."""

    agent: str
    cost_before: int
    cost_now: int
    score_before: int | None
    score_now: int | None

    @property
    def growth(self) -> int:
        """How much more was spent, in nano-USD."""
        return self.cost_now - self.cost_before

    @property
    def score_trend(self) -> int | None:
        """How much better the answers got, in ppm; None where one period has no score."""
        if self.score_before is None or self.score_now is None:
            return None
        return self.score_now - self.score_before


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """What runs spent under one budget, in its own unit. Budgets overlap: lines do not add up."""

    budget: str
    runs: int
    attempts: int
    spent: int


class UnexplainedCost(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose recorded cost is not the sum of its charges."""

    run_id: str
    cost_nano_usd: int
    charged_nano_usd: int


def runs_touching(
    reader: LedgerReader, *, asset: str, since: int, until: int, limit: int = 100
) -> AssetReport:
    """Which runs touched this data asset?"""
    counted = reader.database.query(
        "SELECT count(*) AS runs FROM run_data_asset"
        " WHERE asset = ? AND timestamp >= ? AND timestamp < ?",
        (asset, since, until),
    )
    newest = reader.runs(RunFilter(asset=asset, since=since, until=until), limit=limit)
    return AssetReport(asset=asset, runs=int(counted[0]["runs"]), newest=newest)


def spend_by_domain_by_lane(reader: LedgerReader, *, since: int, until: int) -> SpendReport:
    """What did each domain spend on each lane?"""
    return spend(reader, by=("domain", "lane"), since=since, until=until)


def failed_floor(reader: LedgerReader, *, since: int, until: int) -> list[FailedFloorLine]:
    """Which runs failed their floor, and what did they cost? The dearest first."""
    rows = reader.database.query(
        "SELECT domain, agent, workload, count(*) AS runs, sum(cost) AS cost_nano_usd FROM ("
        " SELECT r.domain, r.agent, r.workload, (SELECT coalesce(sum(c.cost_nano_usd), 0)"
        "   FROM charge_record AS c WHERE c.run_id = r.run_id) AS cost"
        " FROM inference_run AS r"
        " WHERE r.failed_verdicts > 0 AND r.timestamp >= ? AND r.timestamp < ?) AS failed"
        " GROUP BY domain, agent, workload ORDER BY cost_nano_usd DESC, domain, agent, workload",
        (since, until),
    )
    return [msgspec.convert(row, FailedFloorLine) for row in rows]


def premium_and_residency(reader: LedgerReader, *, since: int, until: int) -> list[ResidencyLine]:
    """What did each domain pay for regional lanes, and did its runs stay in their place?"""
    report = spend(reader, by=("domain",), since=since, until=until)
    lines = [
        ResidencyLine(
            domain=line.key["domain"],
            runs=line.sums.runs,
            locked=line.sums.locked,
            not_compliant=line.sums.not_compliant,
            cost_nano_usd=line.sums.cost_nano_usd,
            premium_nano_usd=line.sums.premium_nano_usd,
        )
        for line in report.lines
    ]
    return sorted(lines, key=lambda line: (-line.premium_nano_usd, line.domain))


def growing_agents(reader: LedgerReader, *, since: int, until: int) -> list[GrowthLine]:
    """Whose spend grows most against the period of equal length before, and how is the quality?"""
    now = _by_agent(spend(reader, by=("agent",), since=since, until=until))
    before = _by_agent(spend(reader, by=("agent",), since=2 * since - until, until=since))
    nothing = Sums()
    lines = [
        GrowthLine(
            agent=agent,
            cost_before=before.get(agent, nothing).cost_nano_usd,
            cost_now=now.get(agent, nothing).cost_nano_usd,
            score_before=before.get(agent, nothing).mean_score,
            score_now=now.get(agent, nothing).mean_score,
        )
        for agent in now.keys() | before.keys()
    ]
    return sorted(lines, key=lambda line: (-line.growth, line.agent))


def spend_by_budget(reader: LedgerReader, *, since: int, until: int) -> list[BudgetLine]:
    """What was spent under each budget? Reads every attempt of the period: for short ones."""
    holds, budget, spent = _HOLDS[reader.database.dialect]
    rows = reader.database.query(
        f"SELECT {budget} AS budget, count(DISTINCT r.run_id) AS runs,"  # noqa: S608
        f" count(DISTINCT r.run_id || '/' || a.number) AS attempts, sum({spent}) AS spent"
        f" FROM inference_run AS r CROSS JOIN attempt AS a CROSS JOIN {holds}"
        " WHERE a.run_id = r.run_id AND r.timestamp >= ? AND r.timestamp < ?"
        " GROUP BY 1 ORDER BY 1",
        (since, until),
    )
    return [msgspec.convert(row, BudgetLine) for row in rows]


def unexplained_costs(
    reader: LedgerReader, *, since: int, until: int, limit: int = 100
) -> list[UnexplainedCost]:
    """Runs whose cost is not the sum of their charges: there should be none."""
    rows = reader.database.query(
        "SELECT run_id, cost_nano_usd, charged_nano_usd FROM ("
        " SELECT r.run_id, r.timestamp, r.cost_nano_usd, (SELECT coalesce(sum(c.cost_nano_usd), 0)"
        "   FROM charge_record AS c WHERE c.run_id = r.run_id AND c.kind <> 'correction')"
        "   AS charged_nano_usd FROM inference_run AS r"
        "  WHERE r.timestamp >= ? AND r.timestamp < ?) AS explained"
        " WHERE cost_nano_usd <> charged_nano_usd ORDER BY timestamp, run_id LIMIT ?",
        (since, until, limit),
    )
    return [msgspec.convert(row, UnexplainedCost) for row in rows]


def _by_agent(report: SpendReport) -> dict[str, Sums]:
    return {line.key["agent"]: line.sums for line in report.lines}

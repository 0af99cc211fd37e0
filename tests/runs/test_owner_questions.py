"""The questions that an owner of spend asks, and that none of them reads the whole record."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger import run_sums
from signalbox_ledger.database import Database, Parameters
from signalbox_ledger.opening import open_database
from signalbox_ledger.questions import (
    BudgetLine,
    FailedFloorLine,
    ResidencyLine,
    UnexplainedCost,
    failed_floor,
    growing_agents,
    premium_and_residency,
    runs_touching,
    spend_by_budget,
    spend_by_domain_by_lane,
    unexplained_costs,
)
from signalbox_ledger.read_store import ReadOnlyDatabase
from signalbox_ledger.reading import LedgerReader, RunFilter
from signalbox_ledger.records import HoldPart, Run, Verdict
from signalbox_ledger.reports import spend
from signalbox_ledger.run_store import insert_runs
from support.recorded_runs import NOON, make_attempt, make_charge, make_run, record, refused_run

DAY_MS = 86_400_000
ROWS = 100_000
ALWAYS = {"since": 0, "until": 2 * NOON}


def billed(run_id: str, cost: int, **changed: object) -> Run:
    charge = make_charge(cost=cost, base=cost, premium=0)
    return make_run(run_id, **({"cost_nano": cost, "charges": [charge]} | changed))


def test_which_runs_touched_this_asset(ledger: Database, reader: LedgerReader) -> None:
    record(
        ledger,
        [
            make_run("r_old", started_at=NOON - 91 * DAY_MS),
            make_run("r_1", started_at=NOON - DAY_MS),
            make_run("r_2", data_assets=["signalbox/other", "signalbox/portfolios"]),
            make_run("r_3", data_assets=["signalbox/other"]),
            refused_run("r_4", started_at=NOON + 1),
        ],
    )
    span = {"since": NOON - 90 * DAY_MS, "until": NOON + 2}
    report = runs_touching(reader, asset="signalbox/portfolios", limit=2, **span)
    assert report.runs == 3
    assert [run.run_id for run in report.newest] == ["r_4", "r_2"]


def test_what_each_domain_spent_on_each_lane(ledger: Database, reader: LedgerReader) -> None:
    here, there = make_attempt(1, lane="eu"), make_attempt(1, lane="us")
    record(
        ledger,
        [
            billed("r_1", 5, domain="wealth", attempts=[here]),
            billed("r_2", 7, domain="retail", lane="us", attempts=[there]),
            billed("r_3", 11, domain="retail", attempts=[here]),
            billed("r_4", 13, domain="retail", attempts=[here]),
        ],
    )
    report = spend_by_domain_by_lane(reader, **ALWAYS)
    assert [(*line.key.values(), line.sums.cost_nano_usd) for line in report.lines] == [
        ("retail", "eu", 24),
        ("retail", "us", 7),
        ("wealth", "eu", 5),
    ]


def test_which_runs_failed_their_floor_and_what_they_cost(
    ledger: Database, reader: LedgerReader
) -> None:
    good = Verdict(spec="basic", assertion="complete", passed=True, score=1_000_000)
    bad = Verdict(spec="basic", assertion="not_empty", passed=False, score=0)
    record(
        ledger,
        [
            billed("r_1", 5, verdicts=[good, bad]),
            billed("r_2", 7, verdicts=[bad, bad]),
            billed("r_3", 11, verdicts=[good]),
            billed("r_4", 13, verdicts=[bad], started_at=NOON - 31 * DAY_MS),
        ],
    )
    assert failed_floor(reader, since=NOON - 30 * DAY_MS, until=NOON + 1) == [
        FailedFloorLine(
            domain="signalbox/wealth",
            agent="signalbox/advisor",
            workload="advice",
            runs=2,
            cost_nano_usd=12,
        )
    ]


def test_what_a_place_cost_and_whether_runs_kept_to_it(
    ledger: Database, reader: LedgerReader
) -> None:
    outside = make_attempt(1, lane="us", jurisdiction="US")
    record(
        ledger,
        [
            make_run("r_1", domain="wealth"),
            make_run("r_2", domain="wealth", attempts=[outside]),
            billed("r_3", 7, domain="retail", residency_lock=None, attempts=[outside]),
        ],
    )
    assert premium_and_residency(reader, **ALWAYS) == [
        ResidencyLine(
            domain="wealth",
            runs=2,
            locked=2,
            not_compliant=1,
            cost_nano_usd=19_800,
            premium_nano_usd=1_800,
        ),
        ResidencyLine(
            domain="retail",
            runs=1,
            locked=0,
            not_compliant=0,
            cost_nano_usd=7,
            premium_nano_usd=0,
        ),
    ]


def test_whose_spend_grows_and_whether_the_answers_got_better(
    ledger: Database, reader: LedgerReader
) -> None:
    before, now = NOON - 40 * DAY_MS, NOON - 10 * DAY_MS
    record(
        ledger,
        [
            billed("r_1", 100, agent="steady", started_at=before, eval_score=900_000),
            billed("r_2", 100, agent="steady", started_at=now, eval_score=900_000),
            billed("r_3", 10, agent="rising", started_at=before, eval_score=900_000),
            billed("r_4", 60, agent="rising", started_at=now, eval_score=500_000),
            billed("r_5", 50, agent="rising", started_at=now, eval_score=600_000),
            billed("r_6", 70, agent="gone", started_at=before),
            billed("r_7", 30, agent="new", started_at=now, eval_score=None),
        ],
    )
    lines = growing_agents(reader, since=NOON - 30 * DAY_MS, until=NOON)
    assert [(line.agent, line.growth, line.score_trend) for line in lines] == [
        ("rising", 100, -350_000),
        ("new", 30, None),
        ("steady", 0, 0),
        ("gone", -70, None),
    ]


def test_what_was_spent_under_each_budget(ledger: Database, reader: LedgerReader) -> None:
    def held(number: int, *parts: tuple[str, int]) -> object:
        holds = [
            HoldPart(slice_id=f"s{n}", budget=budget, subject="", amount=99, spent=spent)
            for n, (budget, spent) in enumerate(parts)
        ]
        return make_attempt(number, holds=holds)

    tried = [held(1, ("day", 3), ("rate", 1)), held(2, ("day", 4), ("day", 5))]
    record(ledger, [make_run("r_1", attempts=tried), make_run("r_2", attempts=[])])
    assert spend_by_budget(reader, **ALWAYS) == [
        BudgetLine(budget="day", runs=1, attempts=2, spent=12),
        BudgetLine(budget="rate", runs=1, attempts=1, spent=1),
    ]


def test_a_cost_without_charges_is_found(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run("r_1"), make_run("r_2", cost_nano=10_000)])
    assert unexplained_costs(reader, **ALWAYS) == [
        UnexplainedCost(run_id="r_2", cost_nano_usd=10_000, charged_nano_usd=9_900)
    ]


class ExplainingDatabase(ReadOnlyDatabase):
    """Notes, for each statement asked, how SQLite goes about it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.plans: list[str] = []

    def query(self, statement: str, parameters: Parameters = ()) -> list[dict]:
        steps = super().query(f"EXPLAIN QUERY PLAN {statement}", parameters)
        self.plans += [str(step["detail"]) for step in steps]
        return super().query(statement, parameters)


def multiply(database: Database) -> None:
    """One run becomes ROWS runs with their attempts, charges, verdicts and assets."""
    generated = {
        "position": "n",
        "run_id": "'r_' || n",
        "timestamp": f"{NOON} - n * 30000",
        "agent": "'agent-' || (n % 50)",
        "domain": "'domain-' || (n % 10)",
        "session": "'s-' || (n / 20)",
        "user_id": "'u-' || (n % 999)",
        "failed_verdicts": "n % 100 = 0",
        "outcome": "CASE n % 20 WHEN 0 THEN 'rejected' ELSE outcome END",
        "compliant": "1",
    }
    for table in ("inference_run", "attempt", "charge_record", "eval_result", "run_data_asset"):
        names = [row[1] for row in database.query(f"PRAGMA table_info({table})")]
        values = ", ".join(generated.get(name, f"t.{name}") for name in names)
        database.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers"
            f" WHERE n < {ROWS}) INSERT INTO {table} ({', '.join(names)})"
            f" SELECT {values} FROM numbers CROSS JOIN {table} AS t WHERE t.run_id = 'r_1'"
        )
    run_sums.rebuild(database)


@pytest.fixture(scope="module")
def large_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "ledger.db"
    with closing(open_database(path)) as database, database.transaction():
        insert_runs(database, [make_run("r_1")])
        multiply(database)
    return path


@pytest.fixture(scope="module", params=["without statistics", "after ANALYZE"])
def explaining(request: pytest.FixtureRequest, large_ledger: Path) -> Iterator[LedgerReader]:
    if request.param == "after ANALYZE":
        with closing(open_database(large_ledger)) as database:
            database.execute("ANALYZE")
    with LedgerReader(large_ledger) as reader:
        reader.database.close()
        reader.database = ExplainingDatabase(large_ledger)
        yield reader


SPAN = {"since": NOON - 30 * DAY_MS + 1, "until": NOON - 60_001}
QUESTIONS: dict[str, Callable[[LedgerReader], object]] = {
    "asset": lambda r: runs_touching(r, asset="signalbox/portfolios", **SPAN),
    "domain by lane": lambda r: spend_by_domain_by_lane(r, **SPAN),
    "failed floor": lambda r: failed_floor(r, **SPAN),
    "premium and residency": lambda r: premium_and_residency(r, **SPAN),
    "growing agents": lambda r: growing_agents(r, **SPAN),
    "spend by week": lambda r: spend(r, by=["week", "workload", "model"], **SPAN),
    "budgets of a minute": lambda r: spend_by_budget(r, since=NOON - 60_000, until=NOON),
    "unexplained": lambda r: unexplained_costs(r, since=NOON - 60_000, until=NOON),
    "one run": lambda r: r.run("r_77"),
    "ids": lambda r: r.ids("r_77"),
    "follow": lambda r: r.follow(ROWS - 10),
    "newest": lambda r: r.runs(),
    "agent": lambda r: r.runs(RunFilter(agent="agent-1")),
    "domain": lambda r: r.runs(RunFilter(domain="domain-1", since=NOON - DAY_MS)),
    "user": lambda r: r.runs(RunFilter(user="u-1")),
    "session": lambda r: r.runs(RunFilter(session="s-7")),
    "asset list": lambda r: r.runs(RunFilter(asset="signalbox/portfolios")),
    "refused": lambda r: r.runs(RunFilter(outcome="rejected")),
    "failed": lambda r: r.runs(RunFilter(only_failed_floor=True)),
    "not compliant": lambda r: r.runs(RunFilter(only_not_compliant=True)),
}


LISTS_ALONG_AN_INDEX = {
    "newest": ["SCAN r USING INDEX inference_run_by_time"],
    "failed": ["SCAN r USING INDEX inference_run_failed_floor"],
    "not compliant": ["SCAN r USING INDEX inference_run_not_compliant"],
}
"""These walk an index from its newest end and stop at the limit."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_the_whole_record(explaining: LedgerReader, question: str) -> None:
    """Every table is entered by an index; a list needs no sorting of more than it shows."""
    database = explaining.database
    assert isinstance(database, ExplainingDatabase)
    database.plans.clear()
    assert QUESTIONS[question](explaining) is not None
    scans = [plan for plan in database.plans if plan.startswith("SCAN")]
    through = ("SCAN run_fact", "SCAN part", "SCAN (subquery", "SCAN h VIRTUAL TABLE")
    whole = [plan for plan in scans if not plan.startswith(through)]
    assert database.plans
    assert whole == LISTS_ALONG_AN_INDEX.get(question, []), database.plans


@pytest.mark.parametrize("question", ["newest", "agent", "domain", "user", "session", "refused"])
def test_a_list_is_read_in_order_and_not_sorted(explaining: LedgerReader, question: str) -> None:
    database = explaining.database
    assert isinstance(database, ExplainingDatabase)
    database.plans.clear()
    QUESTIONS[question](explaining)
    assert not [plan for plan in database.plans if "TEMP B-TREE" in plan], database.plans

"""Spend: every nano-USD in exactly one line, whatever the grouping, for any span of time."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox_ledger import run_sums
from signalbox_ledger.database import Database
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.records import Run
from signalbox_ledger.reports import DAY_MS, DIMENSIONS, HOUR_MS, PERIODS, PPM, Sums, _ranges, spend
from signalbox_ledger.run_store import insert_corrections, insert_runs
from support.recorded_runs import (
    NOON,
    correct,
    make_attempt,
    make_charge,
    make_run,
    record,
    refused_run,
    undone,
)
from support.run_strategies import INSTANTS, charges, runs

ALWAYS = {"since": 0, "until": 2 * NOON}


def by_hand(recorded: Sequence[Run], since: int, until: int) -> Sums:
    """The whole, added up from the runs themselves."""
    within = [run for run in recorded if since <= run.started_at < until]
    used = [a.usage for run in within for a in run.attempts if a.usage is not None]
    billed = [charge for run in within for charge in run.charges]
    scores = [run.eval_score for run in within if run.eval_score is not None]
    return Sums(
        runs=len(within),
        answered=sum(run.outcome == "answered" for run in within),
        refused=sum(run.outcome == "refused" for run in within),
        failed_floor=sum(any(not one.passed for one in run.verdicts) for run in within),
        locked=sum(run.residency_lock is not None for run in within),
        not_compliant=0,
        scored=len(scores),
        score_sum=sum(scores),
        tokens_input=sum(u.input + u.cache_write_5m + u.cache_write_1h for u in used),
        tokens_cached=sum(u.cached_input for u in used),
        tokens_output=sum(u.output for u in used),
        cost_nano_usd=sum(charge.cost for charge in billed),
        base_nano_usd=sum(charge.base for charge in billed),
        premium_nano_usd=sum(charge.premium for charge in billed),
        cache_saving_nano_usd=sum(charge.cache_saving for charge in billed),
        batch_saving_nano_usd=sum(charge.batch_saving for charge in billed),
    )


SPANS = INSTANTS | st.integers(NOON - 3 * DAY_MS, NOON + 3 * DAY_MS)
GROUPINGS = st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=4).flatmap(
    lambda names: st.sampled_from([(), *((period,) for period in PERIODS)]).map(
        lambda period: (*names, *period)
    )
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(
    drawn=st.lists(runs(), min_size=1, max_size=6),
    by=GROUPINGS,
    span=st.tuples(SPANS, SPANS).map(sorted),
)
def test_the_parts_are_the_whole_for_any_grouping_and_any_span(
    drawn: list[Run],
    by: tuple[str, ...],
    span: list[int],
    ledger: Database,
    reader: LedgerReader,
) -> None:
    since, until = span
    recorded = [
        msgspec.structs.replace(run, run_id=f"r_{n}", residency_lock=None, sensitivity=0)
        for n, run in enumerate(drawn)
    ]
    with undone(ledger), seeing_what_is_not_committed(reader, ledger):
        for run in recorded:
            insert_runs(ledger, [run])
        report = spend(reader, by=by, since=since, until=until)
    assert report.total == by_hand(recorded, since, until)
    for measure in Sums.__struct_fields__:
        parts = sum(getattr(line.sums, measure) for line in report.lines)
        assert parts == getattr(report.total, measure)
    assert sum(line.share_ppm for line in report.lines) <= PPM
    assert len({tuple(line.key.values()) for line in report.lines}) == len(report.lines)


@contextmanager
def seeing_what_is_not_committed(reader: LedgerReader, ledger: Database) -> Iterator[None]:
    own, reader.database._database = reader.database._database, ledger
    try:
        yield
    finally:
        reader.database._database = own


def _added_up(ledger: Database) -> list[tuple[object, ...]]:
    """The sums, whoever wrote them."""
    key = ", ".join(("span", "timestamp", *run_sums.SUM_KEY))
    measures = ", ".join(f"sum({measure})" for measure in run_sums.SUM_MEASURES)
    return ledger.query(f"SELECT {key}, {measures} FROM period_sum GROUP BY {key} ORDER BY {key}")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(
    drawn=st.lists(runs(), min_size=1, max_size=6),
    corrected=st.lists(charges(1, ("correction",)), max_size=2),
    posted_at=INSTANTS,
)
def test_the_period_sums_are_what_the_facts_say(
    drawn: list[Run], corrected: list, posted_at: int, ledger: Database
) -> None:
    recorded = [msgspec.structs.replace(run, run_id=f"r_{n}") for n, run in enumerate(drawn)]
    middle = len(recorded) // 2
    with undone(ledger):
        insert_runs(ledger, recorded[:middle])
        insert_runs(ledger, recorded[middle:])
        insert_corrections(ledger, "r_0", corrected, posted_at)
        kept = _added_up(ledger)
        run_sums.rebuild(ledger)
        assert _added_up(ledger) == kept


def test_each_group_shows_its_share_the_dearest_first(
    ledger: Database, reader: LedgerReader
) -> None:
    def billed(run_id: str, domain: str, cost: int) -> Run:
        charge = make_charge(cost=cost, base=cost, premium=0)
        return make_run(run_id, domain=domain, cost_nano=cost, charges=[charge])

    record(
        ledger,
        [billed("r_1", "retail", 250), billed("r_2", "wealth", 600), billed("r_3", "hr", 150)],
    )
    report = spend(reader, by=["domain"], **ALWAYS)
    assert [(line.key, line.sums.cost_nano_usd, line.share_ppm) for line in report.lines] == [
        ({"domain": "wealth"}, 600, 600_000),
        ({"domain": "retail"}, 250, 250_000),
        ({"domain": "hr"}, 150, 150_000),
    ]


def test_money_stands_under_the_lane_that_caused_it(ledger: Database, reader: LedgerReader) -> None:
    """A stream that broke on one lane and a failover that answered: two bills, one run."""
    run = make_run(
        lane="eu",
        cost_nano=9_900 + 100,
        attempts=[make_attempt(1, lane="us", outcome="cut"), make_attempt(2, lane="eu")],
        charges=[make_charge(1, cost=100, base=100, premium=0), make_charge(2)],
    )
    record(ledger, [run])
    report = spend(reader, by=["lane"], **ALWAYS)
    found = {line.key["lane"]: (line.sums.runs, line.sums.cost_nano_usd) for line in report.lines}
    assert found == {"eu": (1, 9_900), "us": (0, 100)}
    assert report.total.runs == 1


def test_refusals_are_counted_and_cost_nothing(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run("r_1"), refused_run("r_2"), refused_run("r_3")])
    total = spend(reader, by=[], **ALWAYS).total
    assert (total.runs, total.answered, total.refused) == (3, 1, 2)
    assert total.cost_nano_usd == 9_900


def test_a_correction_counts_when_it_was_posted(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run("r_1", started_at=NOON)])
    refund = make_charge(kind="correction", cost=-900, base=0, premium=-900)
    correct(ledger, "r_1", [refund], NOON + DAY_MS)
    report = spend(reader, by=["day"], **ALWAYS)
    assert {line.key["day"]: line.sums.cost_nano_usd for line in report.lines} == {
        "2026-09-22": 9_900,
        "2026-09-23": -900,
    }


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("hour", "2026-09-22T12:00Z"),
        ("day", "2026-09-22"),
        ("week", "2026-09-21"),
        ("month", "2026-09"),
        ("quarter", "2026-Q3"),
    ],
)
def test_time_is_grouped_in_utc_and_in_its_order(
    ledger: Database, reader: LedgerReader, period: str, expected: str
) -> None:
    later = make_run("r_2", started_at=NOON + 200 * DAY_MS)
    record(ledger, [later, make_run("r_1")])
    report = spend(reader, by=[period], **ALWAYS)
    assert report.lines[0].key == {period: expected}
    assert len(report.lines) == 2


@pytest.mark.parametrize(
    ("day", "monday"),
    [("21", "21"), ("22", "21"), ("26", "21"), ("27", "21"), ("28", "28"), ("20", "14")],
)
def test_a_week_is_named_by_its_monday(
    ledger: Database, reader: LedgerReader, day: str, monday: str
) -> None:
    record(ledger, [make_run(started_at=NOON + (int(day) - 22) * DAY_MS)])
    (line,) = spend(reader, by=["week"], **ALWAYS).lines
    assert line.key == {"week": f"2026-09-{monday}"}


def test_the_first_instant_counts_and_the_last_does_not(
    ledger: Database, reader: LedgerReader
) -> None:
    edges = (NOON - 1, NOON, NOON + 1, NOON + HOUR_MS - 1, NOON + HOUR_MS, NOON + 2 * HOUR_MS)
    record(ledger, [make_run(f"r_{at}", started_at=at) for at in edges])
    spans = itertools.combinations([*edges, NOON + 2 * HOUR_MS + 1], 2)
    for since, until in spans:
        expected = sum(since <= at < until for at in edges)
        assert spend(reader, by=[], since=since, until=until).total.runs == expected


def lasting(*ranges: tuple[int, int]) -> int:
    return sum(end - begin for begin, end in ranges)


@given(since=st.integers(0, 10 * DAY_MS), length=st.integers(0, 4 * DAY_MS), by_hour=st.booleans())
def test_at_most_two_broken_hours_are_read_fact_by_fact(
    since: int, length: int, by_hour: bool
) -> None:
    edges = _ranges(since, since + length, by_hour=by_hour)
    hours, days, hours_after, *broken = zip(edges[::2], edges[1::2], strict=True)
    followed = [broken[0], hours, days, hours_after, broken[2]]
    assert broken == [broken[0], broken[0], broken[2], broken[2]], "runs and charges alike"
    assert (followed[0][0], followed[-1][1]) == (since, since + length)
    assert all(begin <= end for begin, end in followed)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(followed))
    assert lasting(broken[0], broken[2]) < 2 * HOUR_MS
    assert by_hour or lasting(hours, hours_after) < 2 * DAY_MS


def test_an_empty_ledger_and_an_inverted_span_spend_nothing(reader: LedgerReader) -> None:
    report = spend(reader, by=["domain"], **ALWAYS)
    assert (report.lines, report.total) == ([], Sums())
    assert spend(reader, by=["domain"], since=NOON, until=0).total == Sums()


def test_a_grouping_that_does_not_exist_is_refused_with_the_choice(reader: LedgerReader) -> None:
    with pytest.raises(ValueError, match="cannot report by 'planet'; choose from domain, agent"):
        spend(reader, by=["domain", "planet"], **ALWAYS)
    with pytest.raises(ValueError, match="one period of day, month"):
        spend(reader, by=["day", "month"], **ALWAYS)
    with pytest.raises(ValueError, match="cannot report by"):
        spend(reader, by=["domain; DROP TABLE attempt"], **ALWAYS)

"""What a bill and the ledger disagree on, and what of it is proven."""

import pytest

from signalbox_ledger import reconciliation, reconciliation_sums
from signalbox_ledger.reconciliation import Comparison, Coverage
from signalbox_ledger.reconciliation_export import BilledRequest, BilledSum, Export
from signalbox_ledger.reconciliation_ledger import ChargedAttempt, LedgerSum

NOON = 1_790_078_400_000
DAY = 1_790_035_200_000
HOUR = 3_600_000
WHOLE_DAY = Coverage(start=DAY, end=DAY + 24 * HOUR, providers=frozenset({"openai"}), lag=HOUR)


def attempt(number: int = 1, **changed: object) -> ChargedAttempt:
    values: dict[str, object] = {
        "run_id": f"r_{number}",
        "number": 1,
        "agent": "retail/assistant",
        "model": "signalbox-system/mini",
        "lane": "us",
        "provider": "openai",
        "upstream_model": "gpt-5.4-mini",
        "started_at": NOON,
        "duration_us": 800_000,
        "settlement": "usage",
        "bound_nano": 9_000,
        "nano": 5_000,
        "corrections": 0,
        "lines": 2,
        "request_id": f"req_{number}",
    }
    return ChargedAttempt(**(values | changed))  # type: ignore[arg-type]


def lost(number: int = 1, **changed: object) -> ChargedAttempt:
    """Charged in full, because its end was lost."""
    return attempt(number, **{"settlement": "full", "nano": 9_000, **changed})


def billed(number: int = 1, pico: int = 5_000_000, **changed: object) -> BilledRequest:
    values: dict[str, object] = {
        "request_id": f"req_{number}",
        "pico": pico,
        "source": "bill.csv",
        "line": number,
        "at": NOON,
        "model": "gpt-5.4-mini-2026-03-17",
    }
    return BilledRequest(**(values | changed))  # type: ignore[arg-type]


def compared(
    charged: list[ChargedAttempt],
    bill: list[BilledRequest],
    coverage: Coverage | None = None,
    *,
    tolerance: int = 0,
) -> Comparison:
    export = Export(
        format="a table of requests",
        provider="",
        names=["bill.csv"],
        digest="0" * 64,
        requests={each.request_id: each for each in bill},
    )
    return reconciliation.compare(export, charged, coverage or Coverage(), tolerance_nano=tolerance)


def test_what_agrees_is_equal() -> None:
    found = compared([attempt(1), attempt(2)], [billed(1), billed(2)])
    assert not found.has_differences
    assert (found.matched, found.bookable, found.told, found.undecided) == (2, [], [], [])


@pytest.mark.parametrize(
    ("pico", "equal"),
    [(4_999_999, True), (4_998_001, True), (4_998_000, False), (5_000_001, False)],
)
def test_each_line_may_be_rounded_up_by_less_than_a_nano(pico: int, equal: bool) -> None:
    assert compared([attempt()], [billed(pico=pico)]).has_differences is not equal


def test_a_tolerance_lets_small_differences_pass() -> None:
    assert not compared([attempt()], [billed(pico=5_400_000)], tolerance=400).has_differences
    assert compared([attempt()], [billed(pico=5_401_000)], tolerance=400).has_differences


@pytest.mark.parametrize("pico", [7_000_500, 100])
def test_a_bill_that_differs_is_booked_rounded_up(pico: int) -> None:
    (found,) = compared([attempt()], [billed(pico=pico)]).bookable
    assert found.kind == "different"
    assert found.billed_nano == -(-pico // 1000)
    assert found.delta_nano == found.billed_nano - 5_000


def test_an_error_that_was_billed_all_the_same_is_a_difference() -> None:
    (found,) = compared([attempt(settlement="zero", nano=0, lines=0)], [billed()]).bookable
    assert (found.kind, found.delta_nano) == ("different", 5_000)


def test_a_lost_call_costs_what_its_line_says() -> None:
    (found,) = compared([lost()], [billed(pico=1_500)]).bookable
    assert (found.kind, found.billed_nano, found.delta_nano) == ("resolved", 2, -8_998)


def test_a_lost_call_that_cost_its_bound_is_no_difference() -> None:
    assert not compared([lost()], [billed(pico=9_000_000)]).has_differences


def test_a_lost_call_without_a_line_is_given_back_only_where_the_export_covers_it() -> None:
    assert compared([lost()], [billed(2)], WHOLE_DAY).bookable[0].kind == "unbilled"
    for coverage in (
        Coverage(),
        Coverage(providers=frozenset({"openai"})),
        Coverage(start=DAY, end=DAY + 24 * HOUR, providers=frozenset({"anthropic"})),
        Coverage(start=NOON + 1, end=DAY + 24 * HOUR, providers=frozenset({"openai"})),
        Coverage(start=DAY, end=NOON + HOUR, providers=frozenset({"openai"})),
        Coverage(start=DAY, end=DAY + 24 * HOUR, lanes=frozenset({"eu"})),
    ):
        found = compared([lost(), attempt(3)], [billed(3)], coverage)
        assert found.bookable == []
        assert not found.has_differences


def test_what_is_not_proven_is_told_and_stays_charged_in_full() -> None:
    found = compared([lost(), attempt(3)], [billed(3)])
    assert [each.kind for each in found.undecided] == ["undecided"]
    assert found.undecided[0].delta_nano == 0


@pytest.mark.parametrize("lanes", [{"us"}, {"signalbox-system/mini/us"}])
def test_a_lane_can_be_named_by_itself_or_with_its_model(lanes: set[str]) -> None:
    coverage = Coverage(start=DAY, end=DAY + 24 * HOUR, lanes=frozenset(lanes), lag=HOUR)
    assert compared([lost()], [billed(2)], coverage).bookable


@pytest.mark.parametrize(
    ("line", "decided"),
    [
        ({}, False),
        ({"model": ""}, False),
        ({"at": 0}, False),
        ({"at": NOON + 59 * 60_000}, False),
        ({"model": "gpt-5.4"}, True),
        ({"at": NOON + 2 * HOUR}, True),
        ({"at": NOON - 2 * HOUR}, True),
    ],
)
def test_a_call_whose_id_never_came_is_not_given_back_while_a_line_may_be_its(
    line: dict[str, object], decided: bool
) -> None:
    found = compared([lost(request_id="")], [billed(2, **line)], WHOLE_DAY)
    assert bool(found.bookable) is decided
    assert found.counts["unmatched"] == 1


def test_a_lost_call_is_resolved_once() -> None:
    assert not compared([lost(nano=0, corrections=1)], [billed(2)], WHOLE_DAY).bookable
    again = compared([lost(nano=2, corrections=1)], [billed(pico=1_500)], WHOLE_DAY)
    assert not again.has_differences


def test_a_billed_request_that_nobody_made_is_unmatched() -> None:
    found = compared([attempt()], [billed(), billed(2, pico=7_000)])
    assert [(each.kind, each.delta_nano) for each in found.told] == [("unmatched", 7)]
    assert found.has_differences


def test_an_answer_that_the_bill_lacks_is_told_and_never_given_back() -> None:
    found = compared([attempt(), attempt(2)], [billed()], WHOLE_DAY)
    assert [(each.kind, each.delta_nano) for each in found.told] == [("lacking", -5_000)]
    assert found.bookable == []
    assert not compared([attempt(), attempt(2)], [billed()]).has_differences


def test_an_id_that_two_calls_carry_decides_nothing() -> None:
    pair = [attempt(1), attempt(2, request_id="req_1")]
    found = compared(pair, [billed(pico=1)])
    assert [each.kind for each in found.told] == ["ambiguous"]
    assert found.bookable == []


def test_both_sides_add_up_by_lane() -> None:
    charged = [attempt(1), attempt(2, lane="eu"), lost(3)]
    found = compared(charged, [billed(1), billed(2), billed(3, pico=1_000), billed(9)], WHOLE_DAY)
    sides = {lane: (each.ledger_nano, each.billed_pico) for lane, each in found.lanes.items()}
    model = "signalbox-system/mini"
    assert sides == {
        (model, "us"): (14_000, 5_001_000),
        (model, "eu"): (5_000, 5_000_000),
        ("", ""): (0, 5_000_000),
    }


def test_of_what_cannot_be_booked_the_largest_are_kept_and_all_are_counted() -> None:
    bill = [billed(number, pico=number * 1_000) for number in range(1, 1_101)]
    found = compared([], bill)
    assert found.counts == {"unmatched": 1_100}
    assert found.amounts == {"unmatched": sum(range(1, 1_101))}
    assert [each.delta_nano for each in found.told[:2]] == [1_100, 1_099]
    assert len(found.told) == reconciliation.EXAMPLES


def charged_sum(**changed: object) -> LedgerSum:
    names = {"provider": "openai", "upstream_model": "gpt-5.4-mini", "model": "m", "lane": "us"}
    tokens = {"input": 30, "cached": 5, "output": 7}
    counts = {"requests": 2, "unknown": 0, "unknown_nano": 0, "nano": 20_000_000, "lines": 4}
    values: dict[str, object] = {"day": DAY} | names | tokens | counts
    return LedgerSum(**(values | changed))  # type: ignore[arg-type]


def billed_sum(**changed: object) -> BilledSum:
    values = {"start": DAY, "end": DAY + 24 * HOUR, "model": "gpt-5.4-mini-2026-03-17"}
    return BilledSum(**(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pico", "differs"),
    [
        (20_000_000_000, False),
        (19_999_996_000, False),
        (19_989_996_000, False),
        (19_989_995_999, True),
        (20_010_000_000, False),
        (20_010_000_001, True),
    ],
)
def test_money_of_a_day_may_differ_by_rounding_and_tolerance(pico: int, differs: bool) -> None:
    (line,) = reconciliation_sums.compare([billed_sum(pico=pico)], [charged_sum()])
    assert line.differs(10_000) is differs


def test_tokens_of_a_day_are_compared_where_the_export_tells_them() -> None:
    (line,) = reconciliation_sums.compare(
        [billed_sum(input=30, cached=5, output=7, requests=3)], [charged_sum()]
    )
    assert not line.differs(0)
    (line,) = reconciliation_sums.compare(
        [billed_sum(input=30, cached=5, output=8)], [charged_sum()]
    )
    assert line.differs(10**9)


def test_an_export_by_key_or_by_line_item_adds_up_to_its_model() -> None:
    lines = reconciliation_sums.compare(
        [billed_sum(pico=1, key="a"), billed_sum(pico=2, key="b"), billed_sum(pico=4, model="x")],
        [charged_sum(lane="eu"), charged_sum()],
    )
    assert [(line.model, line.billed.pico, line.ledger.pico) for line in lines] == [
        ("gpt-5.4-mini-2026-03-17", 3, 40_000_000_000),
        ("x", 4, 0),
    ]


def test_without_models_whole_days_are_compared() -> None:
    (line,) = reconciliation_sums.compare(
        [billed_sum(pico=5, model="")], [charged_sum(), charged_sum(upstream_model="other")]
    )
    assert (line.model, line.ledger.pico) == ("", 40_000_000_000)


def test_days_outside_the_export_are_not_held_against_it() -> None:
    lines = reconciliation_sums.compare(
        [billed_sum(pico=5)], [charged_sum(), charged_sum(day=DAY - 24 * HOUR)]
    )
    assert len(lines) == 1


def test_minutes_and_hours_add_up_to_their_day_and_weeks_are_refused() -> None:
    hours = [
        billed_sum(start=DAY + at * HOUR, end=DAY + (at + 1) * HOUR, pico=1) for at in range(24)
    ]
    (line,) = reconciliation_sums.compare(hours, [])
    assert (line.day, line.billed.pico) == (DAY, 24)
    with pytest.raises(ValueError, match="longer than a day"):
        reconciliation_sums.compare([billed_sum(end=DAY + 7 * 24 * HOUR, pico=1)], [])

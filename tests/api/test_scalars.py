"""Amounts are exact integers, classes are ordered, jurisdictions are real, instants have zones."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_api import jurisdictions
from signalbox_api.amounts import millionths, nano_usd, retention_days, usd_text
from signalbox_api.base import ResourceKey, resolve_ref
from signalbox_api.pattern_hints import PATTERN_HINTS
from signalbox_api.scalars import USD_PATTERN, format_instant
from signalbox_api.sensitivity import Sensitivity


@given(st.from_regex(USD_PATTERN.replace("$", r"\Z"), fullmatch=True))
def test_every_amount_is_exact_in_nano_usd_and_fits_64_bits(text: str) -> None:
    nano = nano_usd(text)
    assert Fraction(nano, 10**9) == Fraction(text)
    assert 0 <= nano < 2**63
    assert nano_usd(usd_text(nano)) == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (1, "0.000000001"), (200_000_000, "0.20"), (-1_500_000_000, "-1.50")],
)
def test_amounts_are_written_short_and_exact(nano: int, text: str) -> None:
    assert usd_text(nano) == text


@pytest.mark.parametrize("text", ["", ".", "1.", "-1", "1e3", "0.0000000001", "١", "1 "])
def test_what_is_no_amount_is_not_made_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal"):
        nano_usd(text)


def test_shares_are_millionths() -> None:
    assert [millionths(text) for text in ("0", "0.88", "1", "1.0", "0.000001")] == [
        0,
        880_000,
        1_000_000,
        1_000_000,
        1,
    ]


def test_retention_is_days() -> None:
    assert [retention_days(text) for text in ("90d", "2w", "7y")] == [90, 14, 2555]


def test_classes_are_ordered() -> None:
    assert [item.rank for item in Sensitivity] == [0, 1, 2, 3]


def test_groups_resolve_to_countries() -> None:
    assert len(jurisdictions.COUNTRIES) == 249
    assert len(jurisdictions.GROUPS["EU"]) == 27
    assert jurisdictions.resolve(["EU", "CH"]) == jurisdictions.GROUPS["EU"] | {"CH"}
    assert jurisdictions.resolve(["EEA"]) - jurisdictions.resolve(["EU"]) == {"IS", "LI", "NO"}
    assert {"EU", "EEA"} == jurisdictions.KNOWN - jurisdictions.COUNTRIES
    for members in jurisdictions.GROUPS.values():
        assert members <= jurisdictions.COUNTRIES
    with pytest.raises(KeyError):
        jurisdictions.resolve(["UK"])


@pytest.mark.parametrize(
    ("code", "fix"),
    [("UK", "write GB"), ("de", "write DE"), ("EUR", "write EU"), ("X", "ISO 3166")],
)
def test_a_wrong_jurisdiction_is_told_the_right_one(code: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        jurisdictions.country_or_group(code)


def test_a_lane_is_in_one_country() -> None:
    with pytest.raises(ValueError, match="EU is a group of countries"):
        jurisdictions.country("EU")


def test_a_reference_is_read_in_its_own_namespace_unless_it_names_one() -> None:
    assert resolve_ref("Domain", "wealth", "team") == ResourceKey("Domain", "team", "wealth")
    assert resolve_ref("Domain", "platform/wealth", "team").namespace == "platform"


def test_instants_are_written_in_utc() -> None:
    assert format_instant(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05Z"


def test_every_pattern_of_a_spec_has_a_hint(every_pattern: set[str]) -> None:
    assert every_pattern == set(PATTERN_HINTS)

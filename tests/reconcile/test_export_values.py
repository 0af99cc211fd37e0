"""Single values of exports are read exactly or refused with a sentence."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger import reconciliation_values as values


@given(st.integers(0, 10**9), st.integers(0, 12), st.integers(0, 10**12 - 1))
def test_an_amount_of_up_to_twelve_decimals_is_exact(
    whole: int, digits: int, fraction: int
) -> None:
    text = f"{whole}.{fraction:012d}"[: len(str(whole)) + 1 + max(1, digits)]
    assert values.pico_usd(text) == Fraction(text) * 10**12


@pytest.mark.parametrize(
    ("text", "pico"),
    [
        ("1.2e-3", 1_200_000_000),
        ("6E-5", 60_000_000),
        ("0.0000000000001", 1),
        ("0.0038359800000000000000000000001", 3_835_980_001),
        ("0", 0),
        ("-0.0", 0),
    ],
)
def test_what_a_provider_writes_finer_is_rounded_up(text: str, pico: int) -> None:
    assert values.pico_usd(text) == pico


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-0.01", "negative"),
        ("", "not a decimal"),
        ("1,50", "not a decimal"),
        ("$1", "not a decimal"),
        ("NaN", "not a decimal"),
        ("Infinity", "not a decimal"),
        ("1e999", "not a decimal"),
        ("0x10", "not a decimal"),
        ("١٢", "not a decimal"),
        ("1" * 2000, "not a decimal"),
        ("99999999999999", "more than any provider bills"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        values.pico_usd(text)


def test_cents_are_a_hundredth_and_nano_is_rounded_up() -> None:
    assert values.pico_usd("123.78912", values.PICO_PER_CENT) == 1_237_891_200_000
    assert [values.nano_usd(each) for each in (0, 1, 1000, 1001)] == [0, 1, 1, 2]


@pytest.mark.parametrize("currency", ["eur", "USDT", "", "us$"])
def test_another_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="another currency"):
        values.dollars_only(currency)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-09-22", 1_790_035_200_000),
        ("2026-09-22T12:00:00Z", 1_790_078_400_000),
        ("2026-09-22 14:00:00+02:00", 1_790_078_400_000),
        ("2026-09-22T12:00:00.123456", 1_790_078_400_123),
        ("1790078400", 1_790_078_400_000),
    ],
)
def test_an_instant_without_a_zone_is_in_utc(text: str, milliseconds: int) -> None:
    assert values.instant_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["yesterday", "1969-12-31", "22/09/2026", "-5", "1e9"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no instant|before 1970"):
        values.instant_ms(text)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["gpt-5.4-mini", "gpt-5.4-mini-2026-03-17", "GPT 5.4 mini"], "gpt-5-4-mini"),
        (["Claude Haiku 4.5", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"], None),
        (["mistral-medium-latest", "mistral-medium"], None),
    ],
)
def test_providers_names_of_one_model_agree(names: list[str], key: str | None) -> None:
    keys = {values.model_key(name) for name in names}
    assert len(keys) == 1
    assert key is None or keys == {key}
    assert values.model_key("gpt-5") != values.model_key("gpt-5-mini")

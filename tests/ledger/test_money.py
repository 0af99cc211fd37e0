"""Money is integers, exact, and never rounded in the payer's favour."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import signalbox_ledger
from signalbox_ledger.money import MAX_AMOUNT, ceil_div, format_usd, line_cost


@given(st.integers(0, MAX_AMOUNT))
def test_what_is_written_reads_back(nano: int) -> None:
    assert Decimal(format_usd(nano)) * 10**9 == nano


def test_amounts_show_at_least_cents() -> None:
    assert [format_usd(nano) for nano in (0, 200_000_000, 1, -1_500_000_000)] == [
        *("0.00", "0.20", "0.000000001", "-1.50"),
    ]


@given(st.integers(0, 10**12), st.integers(0, 10**15))
def test_a_charge_is_rounded_up_by_less_than_one(tokens: int, price: int) -> None:
    cost = line_cost(tokens, price)
    assert 0 <= cost * 1_000_000 - tokens * price < 1_000_000


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9))
def test_division_rounds_up(dividend: int, divisor: int) -> None:
    result = ceil_div(dividend, divisor)
    assert (result - 1) * divisor < dividend <= result * divisor


@pytest.mark.parametrize(("tokens", "price"), [(-1, 1), (1, -1)])
def test_negative_factors_are_refused(tokens: int, price: int) -> None:
    with pytest.raises(ValueError, match="negative"):
        line_cost(tokens, price)
    with pytest.raises(ValueError, match="positive"):
        ceil_div(1, 0)


MONEY_MODULES = (
    *("money", "accounts", "windows", "holder", "held_account", "settlement"),
    *("store", "account_store", "granting", "holder_store"),
    *("recovery", "records", "protocol", "status", "shortage"),
)
FLOAT = re.compile(r"\bfloat\b|\b\d+\.\d+\b|\bREAL\b|[^/]/[^/]|\bround\(")


@pytest.mark.parametrize("module", MONEY_MODULES)
def test_no_float_comes_near_money(module: str) -> None:
    source = (Path(signalbox_ledger.__file__).parent / f"{module}.py").read_text("utf-8")
    code = re.sub(r'"""(?:.|\n)*?"""|"[^"\n]*"|#.*', '""', source)
    assert not FLOAT.findall(code)


def test_no_table_of_accounts_holds_a_float() -> None:
    schema = (Path(signalbox_ledger.__file__).parent / "migrations/accounts.sql").read_text("utf-8")
    tables = schema.split("CREATE TABLE")[1:]
    assert tables
    for table in tables:
        assert "STRICT" in table
        assert not re.search(r"\b(REAL|FLOAT|NUMERIC|DOUBLE|ANY)\b", table)

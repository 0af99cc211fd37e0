"""What an operator takes from the document of accounts."""

import json

import pytest

from signalbox_operator.account_facts import decoded
from signalbox_operator.compiler import bounds


def document(budgets: int) -> bytes:
    one = {"limit": 5, "settled": 1, "held": 0, "overrun": 0, "remaining": 4}
    told = [one | {"budget": f"retail/b{number}"} for number in range(budgets)]
    return json.dumps({"now_ms": 1, "budgets": told}).encode()


def test_as_many_budgets_are_heard_of_as_may_be_written() -> None:
    most = bounds.PLATFORM["Budget"] + bounds.TENANTS["Budget"]
    assert len(decoded(document(most)).facts()) == most
    with pytest.raises(ValueError, match="budgets"):
        decoded(document(most + 1))

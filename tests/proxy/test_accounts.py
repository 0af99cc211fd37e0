"""Which accounts hold a request, and in whose name."""

from typing import Any

import msgspec
import pytest

from signalbox_proxy.accounts import accounts_for
from signalbox_proxy.classification import Facts
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_snapshot.snapshot import Budget
from support.snapshots import agent, budget, snapshot


def accounts(*budgets: Budget, **facts: str) -> list[tuple[str, str, bool]]:
    """Budget, subject, and whether its end refuses."""
    given = snapshot(
        agents=[agent("retail/support", budgets=[each.id for each in budgets])],
        budgets=list(budgets),
    )
    runtime = Runtime.build(given, version="v", generation=1)
    who = runtime.agents["retail/support"]
    plain = Facts(who.agent, who.domain, "", "", "", "", 1, None, (), False, 0)
    asked: Any = msgspec.structs.replace(plain, **facts)  # type: ignore[arg-type]
    found = accounts_for(who, asked)
    return [(account.budget.id, account.subject, account.enforced) for account in found]


@pytest.mark.parametrize(
    ("per", "facts", "subject"),
    [
        (None, {"user": "ann", "session": "s1"}, ""),
        ("user", {"user": "ann", "session": "s1"}, "ann"),
        ("session", {"user": "ann", "session": "s1"}, "s1"),
        ("agent", {}, "retail/support"),
        ("user", {}, ""),
    ],
)
def test_each_name_has_an_account_of_its_own(per: Any, facts: Any, subject: str) -> None:
    assert accounts(budget("retail/b", per=per), **facts) == [("retail/b", subject, True)]


@pytest.mark.parametrize("per", ["user", "session"])
def test_a_name_that_is_demanded_and_missing_is_a_refusal(per: Any) -> None:
    strict = budget("retail/b", per=per, when_missing="refuse")
    with pytest.raises(Refusal) as refused:
        accounts(strict)
    assert (refused.value.code, refused.value.param) == ("no_budget", f"x-signalbox-{per}")
    assert accounts(strict, **{per: "x"}) == [("retail/b", "x", True)]


def test_in_dry_run_nothing_is_demanded_and_nothing_refuses() -> None:
    watched = budget("retail/b", per="user", when_missing="refuse", enforcement="DryRun")
    assert accounts(watched) == [("retail/b", "", False)]


@pytest.mark.parametrize(
    "budgets",
    [[], [budget("retail/t", unit="tokens")], [budget("retail/w", workload="mail")]],
)
def test_without_a_money_budget_that_applies_nothing_runs(budgets: list[Budget]) -> None:
    with pytest.raises(Refusal) as refused:
        accounts(*budgets)
    assert refused.value.code == "no_budget"


def test_every_budget_that_applies_must_agree() -> None:
    found = accounts(
        budget("retail/all"),
        budget("retail/mail", workload="mail"),
        budget("retail/other", workload="other"),
        budget("retail/rate", unit="requests"),
        workload="mail",
    )
    assert [name for name, _, _ in found] == ["retail/all", "retail/mail", "retail/rate"]

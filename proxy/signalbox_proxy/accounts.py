"""Which budgets a request counts against, and in whose name. Pure.

Every budget that applies must agree. A budget `per` user, session or agent has an account for
each; one for a workload counts that workload's requests only.
"""

import msgspec

from signalbox_proxy.classification import Facts
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedAgent
from signalbox_snapshot.snapshot import Budget


class Account(msgspec.Struct, frozen=True):
    """A budget, and whose part of it: `subject` is "" for the shared account."""

    budget: Budget
    subject: str

    @property
    def enforced(self) -> bool:
        """Whether its end refuses; otherwise it is only recorded."""
        return self.budget.enforcement == "Enforce"


def applying_budgets(agent: PreparedAgent, workload: str) -> tuple[Budget, ...]:
    """The budgets that count a request of this workload."""
    return tuple(
        [budget for budget in agent.budgets if not budget.workload or budget.workload == workload]
    )


def accounts_for(agent: PreparedAgent, facts: Facts) -> tuple[Account, ...]:
    """The accounts that must hold this request.

    Raises `Refusal("no_budget")` where no money budget applies, or one that wants a name which
    the request does not have.
    """
    budgets = applying_budgets(agent, facts.workload)
    if "usd" not in [budget.unit for budget in budgets]:
        raise Refusal(
            "no_budget",
            f"No money budget applies to agent {facts.agent.id}. Create a Budget with a usd limit "
            "whose scope covers it.",
        )
    return tuple(
        [
            Account(budget, "" if budget.per is None else _subject(budget, facts))
            for budget in budgets
        ]
    )


def _subject(budget: Budget, facts: Facts) -> str:
    if budget.per == "agent":
        return facts.agent.id
    name = facts.user if budget.per == "user" else facts.session
    if not name and budget.when_missing == "refuse" and budget.enforcement == "Enforce":
        raise Refusal(
            "no_budget",
            f"Budget {budget.id} has an account per {budget.per}, and this request names no "
            f"{budget.per}. Send x-signalbox-{budget.per}.",
            f"x-signalbox-{budget.per}",
        )
    return name

"""How budgets stand, as one document for the control plane: JSON-compatible, integers only.

The proxy's control port gives it to an operator, `signalbox up` makes status from it: both read the
same. Names of users and sessions leave only as `name_of` gives them.
"""

from collections.abc import Callable
from typing import Any

from signalbox_ledger.protocol import BudgetStatus, StatusReport, SubjectStatus
from signalbox_ledger.refusing import Refusing

NameOf = Callable[[BudgetStatus, str], str]
"""What is told instead of a subject's name."""


def document(
    report: StatusReport, refusing: Refusing, *, top: int, name_of: NameOf
) -> list[dict[str, Any]]:
    """Every budget in force, each with at most `top` of its accounts, the worst first.

    Amounts in the budget's unit (usd: nano-USD), instants in seconds, 0 where there is none.
    """
    return [_budget(each, refusing, top, name_of) for each in report.budgets]


def _budget(budget: BudgetStatus, refusing: Refusing, top: int, name_of: NameOf) -> dict[str, Any]:
    figures = budget.figures
    refused = {each.subject for each in budget.top if _refuses(budget, each, refusing)}
    shared = figures.remaining if budget.per is None else budget.remaining
    start = budget.window_start
    return {
        "budget": budget.budget,
        "unit": budget.unit,
        "window_start": start,
        "window_end": budget.window_end,
        "limit": figures.limit,
        "settled": figures.settled,
        "held": figures.held or 0,
        "overrun": figures.overrun,
        "remaining": budget.remaining,
        "subjects": budget.subjects,
        "exhausted_subjects": budget.exhausted_subjects,
        "refused": bool(refused)
        or refusing.refuses(budget.budget, "", window_start=start, remaining=shared),
        "worst": [
            {
                "subject": name_of(budget, each.subject),
                "settled": each.figures.settled,
                "held": each.figures.held or 0,
                "overrun": each.figures.overrun,
                "remaining": each.figures.remaining,
                "refused": each.subject in refused,
            }
            for each in (budget.top[:top] if budget.per else ())
        ],
    }


def _refuses(budget: BudgetStatus, subject: SubjectStatus, refusing: Refusing) -> bool:
    return refusing.refuses(
        budget.budget,
        subject.subject,
        window_start=budget.window_start,
        remaining=subject.figures.remaining,
    )

"""What would happen to a request: the proxy's own decision, taken without calling anybody.

Pure: a snapshot, a request and what budgets have left come in; an `Explanation` goes out. The steps
are those of the request path, called in its order; none is written anew here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signalbox_proxy.accounts import Account, accounts_for
from signalbox_proxy.classification import Facts, check_tools, classify
from signalbox_proxy.counting import candidates_of
from signalbox_proxy.declarations import read_declarations
from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.quotes import MIN_OUTPUT, Quote, Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.surfaces import SURFACES


@dataclass(frozen=True, slots=True)
class Left:
    """What a budget's account has left, by the authority; in the budget's unit."""

    remaining: int
    window_end: int


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is not sent. `headers` are the `x-signalbox-*` ones, in lower case."""

    agent: str
    surface: SurfaceName
    body: dict[str, Any]
    headers: Mapping[str, str]
    now_s: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """One budget that applies. `left` is None where nothing runs that could tell.

    `needed` is what the winning attempt may cost at most, in the budget's unit; `lowered_to` the
    output limit that would fit instead, where the client set none.
    """

    account: Account
    needed: int | None
    left: Left | None
    lowered_to: int | None = None

    @property
    def fits(self) -> bool | None:
        """Whether the attempt can be held; None where that is not known."""
        if self.left is None or self.needed is None:
            return None
        return self.needed <= self.left.remaining or self.lowered_to is not None


@dataclass(slots=True)
class Explanation:
    """How far the request gets, and why. Fields are None from the step on that refuses."""

    question: Question
    facts: Facts | None = None
    decision: Decision | None = None
    accounts: list[AccountView] = field(default_factory=list)
    refusal: Refusal | None = None

    @property
    def sent_to(self) -> list[Quote]:
        """The lanes that it may be sent to, the best first: none of a count that the proxy makes
        itself, and none of what is refused."""
        decision = self.decision
        if decision is None or decision.refusal is not None:
            return []
        return candidates_of(decision.request, decision)


def explain(
    runtime: Runtime, question: Question, left: Mapping[tuple[str, str], Left]
) -> Explanation:
    """Takes the decision of the request path. `left` is by budget and subject, as far as known.

    Raises LookupError when the agent is not in force.
    """
    explanation = Explanation(question)
    if question.agent not in runtime.agents:
        raise LookupError(question.agent)
    try:
        _decide(runtime, explanation, left)
    except Refusal as refusal:
        explanation.refusal = refusal
    return explanation


def _decide(
    runtime: Runtime, explanation: Explanation, left: Mapping[tuple[str, str], Left]
) -> None:
    question = explanation.question
    agent = runtime.agents[question.agent]
    surface = next(each for each in SURFACES if each.name == question.surface)
    request = surface.parse(question.body, question.headers)
    declared = read_declarations(question.headers, request.metadata, request.user)
    facts = explanation.facts = classify(runtime, agent.agent, declared, question.now_s)
    check_tools(agent.agent, request.tool_names)
    decision = explanation.decision = decide(runtime, facts, request)
    accounts = accounts_for(agent, facts)
    best = decision.ranking[0] if decision.ranking else None
    quoter = Quoter(decision.request)
    explanation.accounts = [
        _view(account, best, quoter, _left(account, left)) for account in accounts
    ]
    explanation.refusal = decision.refusal


def _left(account: Account, left: Mapping[tuple[str, str], Left]) -> Left | None:
    """What the account has left; one that nobody used yet has all."""
    fresh = left.get((account.budget.id, "*"))
    return left.get((account.budget.id, account.subject), fresh if account.subject else None)


def _view(account: Account, best: Quote | None, quoter: Quoter, left: Left | None) -> AccountView:
    if best is None:
        return AccountView(account, None, left)
    unit = account.budget.unit
    needed = best.amount(unit)
    if left is None or needed <= left.remaining or not account.enforced:
        return AccountView(account, needed, left)
    lowered = None
    if quoter.request.output_limit is None and unit != "requests":
        fits = quoter.largest_output(best, unit, left.remaining)
        lowered = fits if fits >= MIN_OUTPUT else None
    return AccountView(account, needed, left, lowered)

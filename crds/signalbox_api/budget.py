"""Budget: how much may be spent, by whom, in which window. Rate limits are budgets too."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, Strict, model_validator

from signalbox_api.base import Part, Resource, Rule
from signalbox_api.scalars import UNIQUE, Quantity, Ref, TimeZone, Usd, Word
from signalbox_api.status import BudgetStatus

_MINUTES: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_HOURS: Final = (1, 2, 3, 4, 6, 8, 12)


class Every(StrEnum):
    """Length of a window. All but lifetime begin at the calendar's own boundaries."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    LIFETIME = "lifetime"


class Per(StrEnum):
    """Whose account is counted separately."""

    USER = "user"
    SESSION = "session"
    AGENT = "agent"


class WhenMissing(StrEnum):
    """What happens to a request that names no user or session."""

    SHARE = "share"
    REFUSE = "refuse"


class Enforcement(StrEnum):
    """Whether a refusal is carried out."""

    ENFORCE = "Enforce"
    DRY_RUN = "DryRun"


class OnExhausted(StrEnum):
    """What happens to a request whose preferred lane a budget cannot hold."""

    REFUSE = "Refuse"
    CHEAPER_LANE = "CheaperLane"


class Scope(Part):
    """Whose requests count: exactly one of the fields."""

    all_requests: Annotated[Literal[True] | None, Field(alias="all")] = None
    """true: every request. From a namespace other than the platform's: every request of agents of
    that namespace."""
    domain: Ref | None = None
    """Requests of this domain and of the domains below it; name or namespace/name."""
    agent: Ref | None = None
    """Requests of this agent; name or namespace/name."""
    workload: Word | None = None
    """Requests of this workload."""

    rules = (
        Rule(
            "[has(self.all), has(self.domain), has(self.agent), has(self.workload)]"
            ".filter(x, x).size() == 1",
            "scope names none or several; write exactly one of all: true, domain, agent or"
            " workload",
        ),
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = (self.all_requests, self.domain, self.agent, self.workload)
        if sum(value is not None for value in given) != 1:
            raise ValueError(self.rules[0].message)
        return self


class Limit(Part):
    """How much in each window: exactly one of the fields. The amount may change at any time."""

    usd: Usd | None = None
    """US dollars as text or whole number, at most nine decimals, such as "0.20"."""
    tokens: Quantity | None = None
    """Billed tokens, input and output together."""
    requests: Quantity | None = None
    """Admitted requests, each counted once."""

    rules = (
        Rule(
            "[has(self.usd), has(self.tokens), has(self.requests)].filter(x, x).size() == 1",
            "limit names none or several; write exactly one of usd, tokens or requests",
        ),
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.usd, self.tokens, self.requests)) != 1:
            raise ValueError(self.rules[0].message)
        return self

    @property
    def unit(self) -> Literal["usd", "tokens", "requests"]:
        """What the limit counts."""
        if self.usd is not None:
            return "usd"
        return "tokens" if self.tokens is not None else "requests"


class MaxPerRequest(Part):
    """The most that one request may cost: exactly one of the fields."""

    usd: Usd | None = None
    """US dollars, compared with the upper bound of each attempt before it is sent."""
    tokens: Quantity | None = None
    """Tokens, input and output together, compared with the upper bound of each attempt."""

    rules = (
        Rule(
            "has(self.usd) != has(self.tokens)",
            "maxPerRequest names none or both; write exactly one of usd or tokens",
        ),
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.usd is None) == (self.tokens is None):
            raise ValueError(self.rules[0].message)
        return self

    @property
    def unit(self) -> Literal["usd", "tokens"]:
        """What the amount counts; the same as the limit's unit."""
        return "usd" if self.usd is not None else "tokens"


class Window(Part):
    """When counting starts anew."""

    every: Every
    """minute, hour, day, week (from Monday), month, quarter or lifetime (never anew)."""
    count: Annotated[int, Strict(), Field(ge=1, le=30)] = 1
    """So many minutes or hours in one window: a divisor of 60 or 24. 1 for all others."""
    time_zone: TimeZone = "UTC"
    """IANA name of the time zone in which days, weeks, months and quarters begin."""

    rules = (
        Rule(
            "self.every == 'minute' ? self.count in [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30]"
            " : self.every == 'hour' ? self.count in [1, 2, 3, 4, 6, 8, 12] : self.count == 1",
            "count does not divide the calendar; write 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 for"
            " minutes, 1, 2, 3, 4, 6, 8 or 12 for hours, and 1 for all others",
        ),
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        allowed = {Every.MINUTE: _MINUTES, Every.HOUR: _HOURS}.get(self.every, (1,))
        if self.count not in allowed:
            raise ValueError(self.rules[0].message)
        return self


MAX_NEW_SUBJECTS: Final = 10_000_000
"""Most that `maxNewSubjectsPerAgent` may say."""

Percent = Annotated[int, Strict(), Field(ge=1, le=99)]

_FIXED = "cannot be changed, as the account would change its meaning; make a new Budget"


class BudgetSpec(Part):
    """A limit on spend, tokens or requests. Every budget that applies to a request must agree."""

    scope: Scope
    """Whose requests count. Cannot be changed."""
    per: Per | None = None
    """An account for each user, session or agent instead of one for all. Cannot be changed."""
    when_missing: WhenMissing | None = None
    """With per user or session: requests without one share one account, or are refused. Absent:
    share."""
    limit: Limit
    """How much in each window. The amount may change at any time, the unit cannot."""
    window: Window
    """When counting starts anew. Cannot be changed."""
    max_per_request: MaxPerRequest | None = None
    """The most that one request may cost under this budget, in the unit of limit."""
    max_new_subjects_per_agent: (
        Annotated[int, Strict(), Field(ge=1, le=MAX_NEW_SUBJECTS)] | None
    ) = None
    """With per user or session: how many users or sessions one agent may bring into each window.
    One more is refused with too_many_subjects, as each would have the whole limit for itself.
    Those that are there go on. Absent: 10000."""
    on_exhausted: OnExhausted = OnExhausted.REFUSE
    """When this budget cannot hold the lane that is preferred: Refuse refuses, so that nobody is
    served by another lane because of this budget. CheaperLane tries the other acceptable lanes,
    the cheapest first, though a policy prefers faster or better ones; what the request may not
    use, such as another model than the one asked for, it does not get. Where several budgets stand
    in the way, all have to say CheaperLane."""
    warn_at_percent: Annotated[tuple[Percent, ...], Field(max_length=8), UNIQUE] = ()
    """Steps, in per cent of the limit, at which status warns."""
    enforcement: Enforcement = Enforcement.ENFORCE
    """Enforce refuses; DryRun records what would have been refused and lets it pass."""

    rules = (
        Rule(
            "!has(self.whenMissing) || (has(self.per) && self.per in ['user', 'session'])",
            "whenMissing means nothing here; it needs per: user or per: session, an agent is"
            " never missing",
        ),
        Rule(
            "!has(self.maxPerRequest) || (has(self.maxPerRequest.usd) == has(self.limit.usd)"
            " && has(self.maxPerRequest.tokens) == has(self.limit.tokens))",
            "maxPerRequest is not in the unit of limit; write a second Budget for the other unit",
        ),
        Rule(
            "!has(self.maxNewSubjectsPerAgent)"
            " || (has(self.per) && self.per in ['user', 'session'])",
            "maxNewSubjectsPerAgent means nothing here; it needs per: user or per: session, as"
            " callers cannot invent agents",
        ),
        Rule("self.scope == oldSelf.scope", f"scope {_FIXED}"),
        Rule(
            "has(self.per) == has(oldSelf.per) && (!has(self.per) || self.per == oldSelf.per)",
            f"per {_FIXED}",
        ),
        Rule(
            "has(self.limit.usd) == has(oldSelf.limit.usd)"
            " && has(self.limit.tokens) == has(oldSelf.limit.tokens)",
            f"the unit of limit {_FIXED}",
        ),
        Rule("self.window == oldSelf.window", f"window {_FIXED}"),
    )

    @model_validator(mode="after")
    def _missing_only_where_possible(self) -> Self:
        if self.when_missing is not None and self.per not in (Per.USER, Per.SESSION):
            raise ValueError(self.rules[0].message)
        return self

    @model_validator(mode="after")
    def _new_subjects_only_where_possible(self) -> Self:
        named = self.per in (Per.USER, Per.SESSION)
        if self.max_new_subjects_per_agent is not None and not named:
            raise ValueError(self.rules[2].message)
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.max_per_request is not None and self.max_per_request.unit != self.limit.unit:
            raise ValueError(self.rules[1].message)
        return self


class Budget(Resource):
    """Policy on spend: scope, account, limit, window, most per request, warnings.

    Before each attempt every budget that applies must hold the most that the attempt may cost;
    what it did cost is settled afterwards. Rate limits are budgets in `requests` or `tokens`. An
    agent to which no budget in `usd` applies is refused with `no_budget`. From the platform's
    namespace a budget may bind anybody, from another one the agents of that namespace.
    """

    kind: Literal["Budget"] = "Budget"
    spec: BudgetSpec
    """What is wanted."""
    status: BudgetStatus | None = None
    """What is in force; written by Signalbox."""

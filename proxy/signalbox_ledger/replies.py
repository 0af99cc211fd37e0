"""What the authority answers over its Unix socket: the other half of `protocol`."""

from typing import Annotated, Literal

import msgspec

from signalbox_ledger.accounts import Amount, Figures, Name, Per

RefusalReason = Literal[
    "fenced", "unknown_holder", "replaced", "invalid", "gap", "failed", "frozen", "unavailable"
]
"""unavailable: the database does not answer, and the request may have been done. frozen: nothing
is granted until somebody readmits. replaced: the holder has a newer connection."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of requests and replies."""


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what stands in lists."""


class Welcome(Message, frozen=True):
    """The authority's clock, and how much of the holder's journal is settled.

    `min_generation`, here and below, is the generation that a holder's snapshot has to have.
    `strays` are open slices of the holder that it did not present, told after lost commits: it
    closes those that it does not have once its journal is settled again.
    """

    now_ms: int
    offset: int
    generation: int
    min_generation: int = 0
    strays: list[str] = []


class Configured(Message, frozen=True):
    """The generation in force, which is not the one sent where that was lower."""

    generation: int


class Grant(Item, frozen=True):
    """The answer to one `DrawItem`. Without a slice, `amount` is 0; an unknown or deleted
    budget has no figures. `too_many`: the item's agent has brought so many subjects into this
    window already, and may bring no more."""

    slice_id: str
    amount: int
    window_start: int
    window_end: int
    figures: Figures | None
    too_many: int = 0


class Drawn(Message, frozen=True):
    """Answers in the order of the draw's items. `wanted` as in `Polled`, where it was looked at."""

    now_ms: int
    grants: list[Grant]
    min_generation: int = 0
    wanted: list[str] | None = None


class Alive(Message, frozen=True):
    """For how many milliseconds the database has owed an answer, as far as draws need it; 0 where
    it owes none, None where it is known to be away."""

    silent_ms: int | None


class Outdated(Message, frozen=True):
    """Nothing was drawn: the holder's snapshot is older than what was taken away since."""

    min_generation: int


class Required(Message, frozen=True):
    """The generation that is needed at least."""

    min_generation: int


class Claimed(Message, frozen=True):
    """Whose the key is: the asking run's own, or that of an earlier run, which may have ended and
    whose request was the same or another."""

    run_id: str
    same_body: bool
    ended: bool


class Done(Message, frozen=True):
    """It is committed."""


class Settled(Message, frozen=True):
    """Journal bytes before `offset` are settled. `wanted` as in `Drawn`."""

    offset: int
    wanted: list[str] | None = None
    min_generation: int = 0


class Polled(Message, frozen=True):
    """Slices of this holder that others wait for."""

    now_ms: int
    wanted: list[str]
    min_generation: int = 0


class Lost(Message, frozen=True):
    """What was posted in full: number of slices and the sum of amounts by unit."""

    slices: int
    amounts: dict[str, int]


class FoundRun(Message, frozen=True):
    """The run as msgpack of `records.Run`, or None."""

    run: bytes | None


class StoredResponse(Item, frozen=True):
    """An answer that the provider of one lane stores, with all that was said before it.

    `run_id` is the run that it answered, `model` and `lane` what stores it (the Model's id and
    the lane's name). `tokens` are at most those that it adds to the input of a request that
    continues it. `sensitivity`, `data_assets` (ids) and `cache_write` (the dearest that was asked
    for) are those of all that was said.
    """

    run_id: Name
    model: Name
    lane: Name
    tokens: Amount
    sensitivity: Annotated[int, msgspec.Meta(ge=0, le=3)]
    data_assets: Annotated[list[Name], msgspec.Meta(max_length=10_000)]
    cache_write: Name


class FoundResponse(Message, frozen=True):
    """What is remembered, or None."""

    stored: StoredResponse | None


class SubjectStatus(Item, frozen=True):
    """One account of a budget with accounts per user, session or agent."""

    subject: str
    figures: Figures


class BudgetStatus(Item, frozen=True):
    """One budget in its present window.

    `figures` are sums over its subjects, save for `limit`, which each of them has for itself.
    `remaining` is that of the subject with the least.
    """

    budget: str
    unit: str
    generation: int
    window_start: int
    window_end: int
    figures: Figures
    remaining: int
    subjects: int
    exhausted_subjects: int
    top: list[SubjectStatus]
    per: Per | None = None


class BudgetSignal(Item, frozen=True):
    """What one run says of budgets. `timestamp` is in milliseconds; `admitted`: something was
    held for it. `short_budget` is None unless one refused it, for lack of `needed` in the account
    of `short_subject` ("" for the one that all share)."""

    position: int
    timestamp: int
    agent: str
    user: str
    session: str
    admitted: bool
    short_budget: str | None = None
    short_subject: str | None = None
    needed: int = 0


class SignalList(Message, frozen=True):
    """Signals in the order of settlement. The next are asked for after `position`."""

    position: int
    signals: list[BudgetSignal]


class StatusReport(Message, frozen=True):
    """Every budget in force."""

    now_ms: int
    generation: int
    budgets: list[BudgetStatus]


class Refused(Message, frozen=True):
    """Nothing of the request was done."""

    reason: RefusalReason
    message: str
    offset: int = 0


Reply = (
    Welcome
    | Configured
    | Drawn
    | Done
    | Settled
    | Polled
    | Alive
    | Lost
    | FoundRun
    | FoundResponse
    | StatusReport
    | SignalList
    | Refused
    | Outdated
    | Required
    | Claimed
)

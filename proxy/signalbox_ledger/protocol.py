"""What travels over the authority's Unix socket.

Frames and their bounds: `signalbox_ledger.framing`. Replies carry the number of their request and
may be pipelined. Every change is idempotent, so that a client repeats whatever was not answered:
slices have ids chosen by their holder, a return names what is kept, a settlement names the
journal offsets that it covers.
"""

from typing import Annotated, Literal

import msgspec

from signalbox_ledger.accounts import Amount, BudgetSpec, Figures, Name

MAX_ITEMS = 10_000

Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
RefusalReason = Literal[
    "fenced", "unknown_holder", "replaced", "invalid", "gap", "failed", "frozen", "unavailable"
]
"""unavailable: the database does not answer, and the request may have been done. frozen: nothing
is granted until somebody readmits. replaced: the holder has a newer connection."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of requests and replies."""


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what stands in lists."""


class PresentedSlice(Item, frozen=True):
    """A slice that its holder has; `amount` is what it has not given back. `basis` as in
    `DrawItem`."""

    slice_id: Name
    budget: Name
    basis: Annotated[str, msgspec.Meta(max_length=256)]
    subject: Name
    window_start: int
    window_end: int
    amount: Amount


class Hello(Message, frozen=True):
    """Open, or take up again, the incarnation `holder` of the proxy `name` on this connection.

    `acknowledged` is how much of its journal it was told is settled. With the slices it shows
    whether the database still knows everything that it acknowledged.
    """

    name: Name
    holder: Name
    acknowledged: Offset = 0
    slices: Annotated[list[PresentedSlice], msgspec.Meta(max_length=100_000)] = []


class Readmit(Message, frozen=True):
    """A person says that all live holders have presented their slices: draws flow again."""


class Configure(Message, frozen=True):
    """The budgets of a snapshot. The highest generation wins."""

    generation: Offset
    specs: Annotated[list[BudgetSpec], msgspec.Meta(max_length=100_000)]


class DrawItem(Item, frozen=True):
    """One slice to draw. `upcoming` asks for the window after the present one.

    `basis` is what the holder takes the budget to count: where the authority knows it in another
    form, as after it was deleted and made again, there is nothing to draw. `agent` is who brings
    the subject, where that is new.
    """

    slice_id: Name
    budget: Name
    subject: Name
    needs: Annotated[list[Amount], msgspec.Meta(max_length=MAX_ITEMS)]
    free: Amount
    want: Amount
    basis: Annotated[str, msgspec.Meta(max_length=256)] = ""
    upcoming: bool = False
    agent: Name = ""


class Draw(Message, frozen=True):
    """Slices to draw, each by itself."""

    items: Annotated[list[DrawItem], msgspec.Meta(max_length=MAX_ITEMS)]


class ReturnItem(Item, frozen=True):
    """Of this slice, keep so much; the rest goes back. `close`: nothing will settle in it."""

    slice_id: Name
    keep: Amount
    close: bool


class Return(Message, frozen=True):
    """Slices, or parts of them, that go back to their accounts."""

    items: Annotated[list[ReturnItem], msgspec.Meta(max_length=MAX_ITEMS)]


class Settle(Message, frozen=True):
    """Journal bytes of `holder` from offset `start`; see `signalbox_ledger.journal`."""

    holder: Name
    start: Offset
    data: bytes


class Skip(Message, frozen=True):
    """Journal bytes of `holder` from `start` to `end` were settled in commits that the database
    lost, and are not kept any more. Taken only while draws are frozen.

    `spent` is what the holder's slices had spent when `end` was settled.
    """

    holder: Name
    start: Offset
    end: Offset
    spent: Annotated[dict[Name, Amount], msgspec.Meta(max_length=100_000)] = {}


class Poll(Message, frozen=True):
    """What is wanted back of this connection's holder?"""


class RequireGeneration(Message, frozen=True):
    """Something was taken away in this generation of the snapshot: whoever is configured by an
    older one draws nothing more. The highest wins."""

    generation: Offset


class ClaimKey(Message, frozen=True):
    """An `Idempotency-Key` of `agent` is about to be used by `run_id`, whose request has
    `body_digest`. See `signalbox_ledger.idempotency`."""

    agent: Name
    key_digest: Digest
    body_digest: Digest
    run_id: Name


class ReleaseKey(Message, frozen=True):
    """The run that claimed this key ended, and nothing of it can have been billed."""

    agent: Name
    key_digest: Digest
    run_id: Name


class Fence(Message, frozen=True):
    """The process of `holder` is gone: refuse it from now on. Entitles this connection to
    settle in its place."""

    holder: Name
    name: Name = ""


class Finish(Message, frozen=True):
    """All of `holder`'s journal is settled: close its slices and fence it."""

    holder: Name


class PostLoss(Message, frozen=True):
    """`holder` is gone with its journal: post its open slices in full and fence it."""

    holder: Name


class FindRun(Message, frozen=True):
    """One run, whole."""

    run_id: Name


class Status(Message, frozen=True):
    """How every account of every budget stands."""

    top: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5


Request = (
    Hello
    | Configure
    | Draw
    | Return
    | Settle
    | Skip
    | Poll
    | Fence
    | Finish
    | PostLoss
    | FindRun
    | Status
    | Readmit
    | RequireGeneration
    | ClaimKey
    | ReleaseKey
)


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
    | Lost
    | FoundRun
    | StatusReport
    | Refused
    | Outdated
    | Required
    | Claimed
)

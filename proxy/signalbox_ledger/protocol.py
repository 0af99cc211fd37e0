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
RefusalReason = Literal["fenced", "unknown_holder", "invalid", "gap", "failed"]


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of requests and replies."""


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of what stands in lists."""


class Hello(Message, frozen=True):
    """Open, or take up again, the incarnation `holder` of the proxy `name` on this connection."""

    name: Name
    holder: Name


class Configure(Message, frozen=True):
    """The budgets of a snapshot. The highest generation wins."""

    generation: Offset
    specs: Annotated[list[BudgetSpec], msgspec.Meta(max_length=100_000)]


class DrawItem(Item, frozen=True):
    """One slice to draw. `upcoming` asks for the window after the present one.

    `basis` is what the holder takes the budget to count: where the authority knows it in another
    form, as after it was deleted and made again, there is nothing to draw.
    """

    slice_id: Name
    budget: Name
    subject: Name
    needs: Annotated[list[Amount], msgspec.Meta(max_length=MAX_ITEMS)]
    free: Amount
    want: Amount
    basis: Annotated[str, msgspec.Meta(max_length=256)] = ""
    upcoming: bool = False


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


class Poll(Message, frozen=True):
    """What is wanted back of this connection's holder?"""


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
    Hello | Configure | Draw | Return | Settle | Poll | Fence | Finish | PostLoss | FindRun | Status
)


class Welcome(Message, frozen=True):
    """The authority's clock, and how much of the holder's journal is settled."""

    now_ms: int
    offset: int
    generation: int


class Configured(Message, frozen=True):
    """The generation in force, which is not the one sent where that was lower."""

    generation: int


class Grant(Item, frozen=True):
    """The answer to one `DrawItem`. Without a slice, `amount` is 0; an unknown or deleted
    budget has no figures."""

    slice_id: str
    amount: int
    window_start: int
    window_end: int
    figures: Figures | None


class Drawn(Message, frozen=True):
    """Answers in the order of the draw's items."""

    now_ms: int
    grants: list[Grant]


class Done(Message, frozen=True):
    """It is committed."""


class Settled(Message, frozen=True):
    """Journal bytes before `offset` are settled."""

    offset: int


class Polled(Message, frozen=True):
    """Slices of this holder that others wait for."""

    now_ms: int
    wanted: list[str]


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
)

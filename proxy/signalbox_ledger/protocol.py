"""What travels over the authority's Unix socket.

Frames and their bounds: `signalbox_ledger.framing`. Replies carry the number of their request and
may be pipelined. Every change is idempotent, so that a client repeats whatever was not answered:
slices have ids chosen by their holder, a return names what is kept, a settlement names the
journal offsets that it covers. Requests are here, what is answered in `replies`.
"""

from typing import Annotated

import msgspec

from signalbox_ledger.accounts import Amount, BudgetSpec, Name
from signalbox_ledger.replies import (
    Alive,
    BudgetSignal,
    BudgetStatus,
    Claimed,
    Configured,
    Done,
    Drawn,
    FoundRun,
    Grant,
    Item,
    Lost,
    Message,
    Outdated,
    Polled,
    RefusalReason,
    Refused,
    Reply,
    Required,
    Settled,
    SignalList,
    StatusReport,
    SubjectStatus,
    Welcome,
)
from signalbox_ledger.stored_response import Digest, FindResponse, KeepResponse

__all__ = [
    "MAX_ITEMS",
    "Alive",
    "BudgetSignal",
    "BudgetStatus",
    "ClaimKey",
    "Claimed",
    "Configure",
    "Configured",
    "Digest",
    "Done",
    "Draw",
    "DrawItem",
    "Drawn",
    "Fence",
    "FindResponse",
    "FindRun",
    "Finish",
    "FoundRun",
    "Grant",
    "Hello",
    "Item",
    "KeepResponse",
    "Lost",
    "Message",
    "Offset",
    "Outdated",
    "Ping",
    "Poll",
    "Polled",
    "PostLoss",
    "PresentedSlice",
    "RefusalReason",
    "Refused",
    "ReleaseKey",
    "Reply",
    "Request",
    "RequireGeneration",
    "Required",
    "Return",
    "ReturnItem",
    "Settle",
    "Settled",
    "SignalList",
    "Signals",
    "Skip",
    "Status",
    "StatusReport",
    "SubjectStatus",
    "Welcome",
]

MAX_ITEMS = 10_000

Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


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
    slices: Annotated[list[PresentedSlice], msgspec.Meta(max_length=100_000)] = msgspec.field(
        default_factory=list
    )


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
    lost, and are not kept any more. Taken only of what this connection's Hello said was
    acknowledged.

    `spent` is what the holder's slices had spent when `end` was settled.
    """

    holder: Name
    start: Offset
    end: Offset
    spent: Annotated[dict[Name, Amount], msgspec.Meta(max_length=100_000)] = msgspec.field(
        default_factory=dict
    )


class Poll(Message, frozen=True):
    """What is wanted back of this connection's holder?"""


class Ping(Message, frozen=True):
    """Does the database answer? Answered at once, without it."""


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


class Signals(Message, frozen=True):
    """What runs settled after the one at position `after` say of budgets; of the newest `limit`
    runs where nothing was read before (None)."""

    after: Offset | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


Request = (
    Hello
    | Configure
    | Draw
    | Return
    | Settle
    | Skip
    | Poll
    | Ping
    | Fence
    | Finish
    | PostLoss
    | FindRun
    | Status
    | Signals
    | RequireGeneration
    | ClaimKey
    | ReleaseKey
    | KeepResponse
    | FindResponse
)

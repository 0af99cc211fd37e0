"""What people order of the authority, beside what proxies ask: over the same socket.

Corrections, holders, what the database says of itself. Everything that changes something names who
ordered it, and is kept.
"""

from typing import Annotated, Literal

import msgspec

from signalbox_ledger.accounts import Amount, Name
from signalbox_ledger.protocol import Item, Message, Offset, Reply, Request

MAX_CORRECTIONS = 1_000
MAX_LISTED = 10_000

HolderState = Literal["live", "silent", "fenced"]
LineDigest = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern="^[0-9a-f]*$")]
Who = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class CorrectionSource(Item, frozen=True):
    """One booking: who ordered it, and by which export.

    `id` is chosen by whoever books, for all batches of one booking. `digest` is the SHA-256 of the
    files, `period` (milliseconds, 0 where nobody said) what they were said to hold all of.
    """

    id: LineDigest
    by: Who
    name: Annotated[str, msgspec.Meta(max_length=4096)]
    digest: LineDigest
    period_start: Offset = 0
    period_end: Offset = 0


class CorrectionItem(Item, frozen=True):
    """One attempt costs `after` nano-USD and not `before`, which is what the ledger charges now,
    corrections included.

    `line` is the digest of the export's line: the same line is booked once. `tokens` are all that
    were billed, None where the export does not tell.
    """

    run_id: Name
    attempt: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    line: LineDigest
    before: Amount
    after: Amount
    request_id: Name = ""
    tokens: Amount | None = None


class Correct(Message, frozen=True):
    """Book corrections."""

    source: CorrectionSource
    items: Annotated[list[CorrectionItem], msgspec.Meta(max_length=MAX_CORRECTIONS)]


class ListHolders(Message, frozen=True):
    """Who holds slices, or may."""


class PostLossFor(Message, frozen=True):
    """A person says that `holder` is gone with its journal: post its open slices in full."""

    holder: Name
    by: Who


class ReadmitBy(Message, frozen=True):
    """A person says that every live holder has presented its slices: draws flow again.

    Refused (`frozen`) where the database knows better: one that is live has not, or still settles
    again what was lost.
    """

    by: Who


class Describe(Message, frozen=True):
    """What the database says of itself."""


class ListRefused(Message, frozen=True):
    """Records that the tables of runs did not take, the oldest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LISTED)] = 100


class RetryRefused(Message, frozen=True):
    """Offer them to the tables again."""

    by: Who
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class RebuildSums(Message, frozen=True):
    """Compute the sums by hour and day anew from the facts."""

    by: Who


DeskRequest = (
    Correct
    | ListHolders
    | PostLossFor
    | ReadmitBy
    | Describe
    | ListRefused
    | RetryRefused
    | RebuildSums
)


class Corrected(Message, frozen=True):
    """How many items were posted and how many had been before. `changed` (RUN/ATTEMPT) were left:
    their run is unknown, or not charged `before` any more.

    By unit, `raised` is what later draws subtract in addition, `returned` what may be drawn again.
    """

    booked: int
    known: int
    changed: list[str]
    raised: dict[str, int]
    returned: dict[str, int]


class HolderStatus(Item, frozen=True):
    """One incarnation of a proxy. `slices` are open; `held` by unit is what of them is not spent.

    `seen_at` and `opened_at` in milliseconds. live: heard of within half a minute.
    """

    holder: str
    name: str
    state: HolderState
    opened_at: int
    seen_at: int
    offset: int
    slices: int
    held: dict[str, int]


class HolderList(Message, frozen=True):
    """Every incarnation that is not forgotten yet, by name, the newest first."""

    now_ms: int
    holders: list[HolderStatus]


class Description(Message, frozen=True):
    """What the database is. `frozen` says why nothing may be drawn ("": draws flow), since
    `frozen_at`. `refused` records wait for a person; `corrections` were booked so far."""

    now_ms: int
    dialect: str
    revision: str
    identity: str
    generation: int
    min_generation: int
    frozen: str
    frozen_at: int
    refused: int
    corrections: int


class RefusedRecord(Item, frozen=True):
    """One record that the tables did not take, and why."""

    holder: str
    journal_end: int
    run_id: str
    reason: str
    size: int


class RefusedList(Message, frozen=True):
    """The records that wait; `waiting` counts them all."""

    waiting: int
    records: list[RefusedRecord]


class Retried(Message, frozen=True):
    """How many records were taken, and how many still wait."""

    taken: int
    waiting: int


class Rebuilt(Message, frozen=True):
    """The sums are as the facts say; how many rows they have."""

    rows: int


DeskReply = Corrected | HolderList | Description | RefusedList | Retried | Rebuilt

AnyRequest = Request | DeskRequest
AnyReply = Reply | DeskReply

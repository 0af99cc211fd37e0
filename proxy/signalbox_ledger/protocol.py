"""What travels over the authority's Unix socket.

A frame is a length and a request number (two big-endian 32-bit integers; the length counts what
follows the number) and a msgpack array. Replies carry the number of their request and may be
pipelined. Every change is idempotent, so that a client repeats whatever was not answered:
slices have ids chosen by their holder, a return names what is kept, a settlement names the
journal offsets that it covers.
"""

import struct
from typing import Annotated, Literal

import msgspec

from signalbox_ledger.accounts import Amount, BudgetSpec, Figures, Name

MAX_FRAME = 8 * 1024 * 1024
MAX_ITEMS = 10_000
HEADER = struct.Struct(">II")

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
    """One slice to draw. `upcoming` asks for the window after the present one."""

    slice_id: Name
    budget: Name
    subject: Name
    needs: Annotated[list[Amount], msgspec.Meta(max_length=MAX_ITEMS)]
    free: Amount
    want: Amount
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

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class FrameError(Exception):
    """What came in is not a frame of this protocol; the connection is of no further use."""


def frame(number: int, message: Message) -> bytes:
    """One message as it goes over the wire. Raises FrameError above `MAX_FRAME`."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"message of {len(body)} bytes is above {MAX_FRAME}")
    return HEADER.pack(len(body), number) + body


def decode_request(body: bytes) -> Request:
    """Read a request. Raises FrameError."""
    try:
        return _request_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a request: {error}") from error


def decode_reply(body: bytes) -> Reply:
    """Read a reply. Raises FrameError."""
    try:
        return _reply_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a reply: {error}") from error


class FrameReader:
    """Cuts a stream of bytes into frames. Holds at most one unfinished frame."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Add what came in; give the (number, body) of every frame that is whole."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[int, bytes]] = []
        position = 0
        while len(buffer) - position >= HEADER.size:
            length, number = HEADER.unpack_from(buffer, position)
            if length > MAX_FRAME:
                raise FrameError(f"frame of {length} bytes is above {MAX_FRAME}")
            end = position + HEADER.size + length
            if len(buffer) < end:
                break
            frames.append((number, bytes(buffer[position + HEADER.size : end])))
            position = end
        del buffer[:position]
        return frames

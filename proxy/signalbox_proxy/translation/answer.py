"""The neutral form of an answer: whole, and as the events of a stream.

A provider format reads it out of the provider's bytes, a client format writes it in the client's
words. Usage is the ledger's own (`signalbox_ledger.records.Usage`), so that what is charged and
what the client is told come from one reading.
"""

from typing import Literal

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall

FinishReason = Literal["stop", "length", "tool_calls", "stop_sequence", "content_filter", "refusal"]
"""stop: the model ended. length: the output limit. content_filter: the provider withheld it.
refusal: the model would not."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer of one choice.

    `finish` is the neutral reason, `provider_finish` the provider's own word for the record.
    `usage` is None where the provider's record is missing or not plausible.
    """

    id: str
    parts: tuple[Text | Thinking | ToolCall | Refused, ...]
    finish: FinishReason
    usage: Usage | None
    stop_sequence: str = ""
    provider_finish: str = ""


class PartBegins(msgspec.Struct, frozen=True):
    """A part of the answer begins; parts do not interleave and are numbered from 0.

    `id` and `name` are those of a tool call. `redacted` is a whole encrypted piece of reasoning,
    `origin` the provider format that reasoning comes from (`Thinking.origin`).
    """

    index: int
    kind: Literal["text", "thinking", "tool_call", "refusal"]
    id: str = ""
    name: str = ""
    redacted: str = ""
    origin: str = ""


class PartGrows(msgspec.Struct, frozen=True):
    """More of the part that began last: text, reasoning, or a piece of a call's JSON arguments."""

    index: int
    piece: str


class PartSigned(msgspec.Struct, frozen=True):
    """The vendor's signature of a thinking part."""

    index: int
    signature: str


class PartEnds(msgspec.Struct, frozen=True):
    """The part is whole."""

    index: int


class Finished(msgspec.Struct, frozen=True):
    """The model stopped. More may follow: usage, the end."""

    finish: FinishReason
    stop_sequence: str = ""
    provider_finish: str = ""


class Counted(msgspec.Struct, frozen=True):
    """The provider's usage record so far; `is_final` once it is the bill."""

    usage: Usage | None
    is_final: bool


class Ended(msgspec.Struct, frozen=True):
    """The provider itself ended the stream."""


class Failed(msgspec.Struct, frozen=True):
    """The provider reported an error inside the stream."""

    message: str


Event = PartBegins | PartGrows | PartSigned | PartEnds | Finished | Counted | Ended | Failed

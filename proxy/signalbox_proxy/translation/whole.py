"""Folds the events of an answer into a whole one, for formats whose streams are rows of answers."""

from collections.abc import Iterable

from signalbox_ledger.records import Usage
from signalbox_proxy.translation.answer import (
    Answer,
    Counted,
    Event,
    Finished,
    PartBegins,
    PartEnds,
    PartGrows,
    PartSigned,
)
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall


def folded(events: Iterable[Event], *, answer_id: str) -> Answer:
    """The answer that the events tell. Raises `Unreadable` where they tell no end."""
    parts: list[Text | Thinking | ToolCall | Refused] = []
    begun = PartBegins(0, "text")
    pieces: list[str] = []
    signature = ""
    finished: Finished | None = None
    usage: Usage | None = None
    for event in events:
        if isinstance(event, PartBegins):
            begun, pieces, signature = event, [], ""
        elif isinstance(event, PartGrows):
            pieces.append(event.piece)
        elif isinstance(event, PartSigned):
            signature = event.signature
        elif isinstance(event, PartEnds):
            parts.append(_part(begun, "".join(pieces), signature))
        elif isinstance(event, Finished):
            finished = event
        elif isinstance(event, Counted) and event.is_final:
            usage = event.usage
    if finished is None:
        raise Unreadable("the answer tells no reason why it ended")
    return Answer(
        id=answer_id,
        parts=tuple(parts),
        finish=finished.finish,
        usage=usage,
        stop_sequence=finished.stop_sequence,
        provider_finish=finished.provider_finish,
    )


def _part(begun: PartBegins, text: str, signature: str) -> Text | Thinking | ToolCall | Refused:
    if begun.kind == "tool_call":
        return ToolCall(begun.id, begun.name, text)
    if begun.kind == "thinking":
        return Thinking(text, signature, begun.redacted, begun.origin)
    return Text(text) if begun.kind == "text" else Refused(text)

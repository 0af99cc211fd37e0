"""Writes a stream of responses: named events, each with its number, and the whole at the end."""

from typing import Any, Final

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation import answer as neutral
from signalbox_proxy.translation.answer import FinishReason
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.translation.responses_answers import (
    content_of,
    end_response,
    item_of,
    response_document,
)

MAX_ANSWER: Final = 64 * 1024 * 1024
"""Characters of one answer: it is told whole at its end."""

_PART: Final = 1024
"""Characters that a part counts besides its own: what its item weighs."""

_GROWS: Final = {
    "text": "response.output_text.delta",
    "refusal": "response.refusal.delta",
    "thinking": "response.reasoning_summary_text.delta",
    "tool_call": "response.function_call_arguments.delta",
}


class ResponsesEventWriter:
    """Writes one stream; see `contract.EventWriter`."""

    def __init__(self, request: ModelRequest, answer_id: str) -> None:
        self._document = response_document(request, answer_id)
        self._answer_id = answer_id
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._part = neutral.PartBegins(0, "text")
        self._pieces: list[str] = []
        self._signature = ""
        self._room = MAX_ANSWER
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._has_refused = False
        self._is_over = False

    def start(self) -> bytes:
        """The response as it begins."""
        begun = self._event("response.created", response=self._document)
        return begun + self._event("response.in_progress", response=self._document)

    def write(self, event: neutral.Event) -> bytes:
        """The bytes of one event. Raises `Unreadable` for an answer beyond all bounds."""
        if self._is_over:
            return b""
        match event:
            case neutral.PartBegins():
                return self._begin(event)
            case neutral.PartGrows(piece=piece):
                return self._grow(piece) if piece else b""
            case neutral.PartSigned(signature=signature):
                self._take(len(signature))
                self._signature = signature
            case neutral.PartEnds():
                return self._end_part()
            case neutral.Finished(finish=finish):
                self._finish = finish
            case neutral.Counted(usage=usage, is_final=is_final):
                self._usage = usage if is_final else self._usage
            case neutral.Ended():
                return self._end()
            case neutral.Failed(message=message):
                return self._fail(message)
        return b""

    def _begin(self, event: neutral.PartBegins) -> bytes:
        self._take(_PART + len(event.redacted) + len(event.id) + len(event.name))
        self._part, self._pieces, self._signature = event, [], ""
        item = self._item()
        if event.kind == "thinking":
            item.pop("encrypted_content", None)
            item["summary"] = []
            return self._item_event("added", item)
        item["status"] = "in_progress"
        if event.kind == "tool_call":
            return self._item_event("added", item)
        self._has_refused |= event.kind == "refusal"
        part, item["content"] = item["content"][0], []
        added = self._item_event("added", item)
        return added + self._event("response.content_part.added", **self._place(), part=part)

    def _grow(self, piece: str) -> bytes:
        self._take(len(piece))
        begun = b""
        kind = self._part.kind
        if kind == "thinking" and not self._pieces:
            part = {"type": "summary_text", "text": ""}
            begun = self._event("response.reasoning_summary_part.added", **self._place(), part=part)
        self._pieces.append(piece)
        more: dict[str, Any] = {"logprobs": []} if kind == "text" else {}
        return begun + self._event(_GROWS[kind], **self._place(), delta=piece, **more)

    def _take(self, characters: int) -> None:
        """Count what is kept until the end; vendors that sign twice mean the last signature."""
        self._room -= characters
        if self._room < 0:
            raise Unreadable(f"the answer is longer than {MAX_ANSWER} characters")

    def _end_part(self) -> bytes:
        text = "".join(self._pieces)
        place, kind = self._place(), self._part.kind
        item = self._item()
        self._output.append(item)
        told = b""
        if kind == "tool_call":
            told = self._event("response.function_call_arguments.done", **place, arguments=text)
        elif kind == "thinking" and text:
            told = self._event("response.reasoning_summary_text.done", **place, text=text)
            part = {"type": "summary_text", "text": text}
            told += self._event("response.reasoning_summary_part.done", **place, part=part)
        elif kind == "text":
            told = self._event("response.output_text.done", **place, text=text, logprobs=[])
            part = content_of(Text(text))
            told += self._event("response.content_part.done", **place, part=part)
        elif kind == "refusal":
            told = self._event("response.refusal.done", **place, refusal=text)
            part = content_of(Refused(text))
            told += self._event("response.content_part.done", **place, part=part)
        return told + self._event("response.output_item.done", output_index=self._index, item=item)

    def _end(self) -> bytes:
        self._is_over = True
        end_response(
            self._document,
            self._output,
            self._finish,
            self._usage,
            has_refused=self._has_refused,
        )
        return self._event(f"response.{self._document['status']}", response=self._document)

    def _fail(self, message: str) -> bytes:
        """An error event, in the two shapes that clients of this API read."""
        self._is_over = True
        error = {"code": "server_error", "message": message, "param": None}
        return self._event("error", **error, error={"type": "server_error", **error})

    @property
    def _index(self) -> int:
        return self._part.index

    def _item(self) -> dict[str, Any]:
        """The item of the part that is under way, as far as it has come."""
        begun, text = self._part, "".join(self._pieces)
        if begun.kind == "tool_call":
            part: Text | Thinking | ToolCall | Refused = ToolCall(begun.id, begun.name, text)
        elif begun.kind == "thinking":
            part = Thinking(text, self._signature, begun.redacted, begun.origin)
        else:
            part = Refused(text) if begun.kind == "refusal" else Text(text)
        return item_of(part, begun.index, self._answer_id)

    def _item_event(self, what: str, item: dict[str, Any]) -> bytes:
        return self._event(f"response.output_item.{what}", output_index=self._index, item=item)

    def _place(self) -> dict[str, Any]:
        """Where in the output something happens."""
        kind = {"tool_call": "fc", "thinking": "rs"}.get(self._part.kind, "msg")
        place: dict[str, Any] = {
            "item_id": f"{kind}_{self._answer_id}_{self._index}",
            "output_index": self._index,
        }
        if kind == "msg":
            place["content_index"] = 0
        elif kind == "rs":
            place["summary_index"] = 0
        return place

    def _event(self, kind: str, **said: Any) -> bytes:
        document = {"type": kind, "sequence_number": self._number, **said}
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + encode_body(document) + b"\n\n"

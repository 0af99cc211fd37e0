"""Encrypted reasoning of OpenAI's responses goes back to the account that made it, and to no other.

Whoever serves responses encrypts reasoning for itself: another vendor, region or account refuses it
(`invalid_encrypted_content`). Where a fleet knows more than one of them, what one hands out gets
its mark, `sb1.responses-<owner>.<encrypted>`, in the place of what the provider sent; everything
else of an answer stays as it came. A marked one goes back without its mark to its owner, and is
left out anywhere else, as another vendor's signature is (`sealing`). One owner needs no marks.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.sealing import MARK
from signalbox_proxy.surfaces.contract import AnswerFacts, Carrier, StreamReader
from signalbox_proxy.surfaces.responses_answers import ResponsesStreamReader
from signalbox_proxy.surfaces.sse import data_of, fields_of
from signalbox_proxy.unreadable import UNREADABLE
from signalbox_snapshot.snapshot import Lane

_FIELD: Final = b'"encrypted_content"'


class OwnedReasoning:
    """Carries responses to one lane (`contract.Carrier`), with reasoning of its `owner` alone.

    `marks`: the fleet has other owners too, so that what this one hands out is marked.
    """

    __slots__ = ("_mark", "_marks", "_surface")

    def __init__(self, surface: Carrier, owner: str, *, marks: bool) -> None:
        self._surface = surface
        self._mark = f"{MARK}.responses-{owner}."
        self._marks = marks

    def upstream_path(self, lane: Lane) -> str:
        """The surface's own."""
        return self._surface.upstream_path(lane)

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """The surface's own."""
        return self._surface.upstream_headers(client, lane, credential)

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The surface's own, with the owner's reasoning as the owner gave it."""
        items = request.body["input"]
        if request.has_sealed and not isinstance(items, str):
            opened = [_opened(item, self._mark) for item in items]
            request = msgspec.structs.replace(request, body=request.body | {"input": opened})
        return self._surface.upstream_body(request, lane, output_limit)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer, marking the reasoning in it."""
        facts = self._surface.read_answer(request, body)
        if self._marks and not facts.error and _FIELD in body:
            facts.body = _marked(body, self._mark)
        return facts

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer, marking the reasoning in it."""
        if not self._marks:
            return self._surface.stream_reader(request)
        return MarkingReader(request, self._mark)

    def rejection(self, status: int, body: bytes) -> Refusal:
        """The surface's own."""
        return self._surface.rejection(status, body)


class MarkingReader(ResponsesStreamReader):
    """Reads a stream as its base does; events with encrypted reasoning pass with a mark in it."""

    def __init__(self, request: ModelRequest, mark: str) -> None:
        super().__init__(request.cache_write)
        self._mark = mark

    def _pass(self, event: bytes) -> bytes:
        passed = super()._pass(event)
        return _marked_event(passed, self._mark) if _FIELD in passed else passed


def _opened(item: dict[str, Any], mark: str) -> dict[str, Any]:
    """An item of a request; reasoning with the owner's mark without it."""
    sealed = item.get("encrypted_content") or ""
    if item.get("type") != "reasoning" or not sealed.startswith(mark):
        return item
    return item | {"encrypted_content": sealed.removeprefix(mark)}


def _marked_event(event: bytes, mark: str) -> bytes:
    try:
        marked = _marked(data_of(event), mark)
    except UNREADABLE:
        return event  # told as malformed by the reader, and readable to no client
    lines = [name + b": " + value + b"\n" for name, value in fields_of(event) if name != b"data"]
    return b"".join(lines) + b"data: " + marked + b"\n\n"


def _marked(data: bytes, mark: str) -> bytes:
    """A response, or an event of one, with every encrypted reasoning in it marked."""
    document = msgspec.json.decode(data)
    if isinstance(document, dict):
        for holder in (document, document.get("response")):
            if isinstance(holder, dict):
                output = holder.get("output")
                for item in (holder.get("item"), *(output if isinstance(output, list) else ())):
                    _mark_item(item, mark)
    return msgspec.json.encode(document)


def _mark_item(item: Any, mark: str) -> None:
    if isinstance(item, dict) and item.get("type") == "reasoning":
        encrypted = item.get("encrypted_content")
        if isinstance(encrypted, str) and encrypted:
            item["encrypted_content"] = mark + encrypted

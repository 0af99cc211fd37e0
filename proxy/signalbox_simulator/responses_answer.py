"""Responses as OpenAI writes them, whole and as named events, each with its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from . import responses_state
from .composition import Choice, Part, grouped
from .refusals import Refusal
from .responses_request import CustomTool, FunctionTool, ResponsesRequest
from .sealed_reasoning import sealed
from .sheet import Usage
from .surface import Context, encoded, named_frame


@dataclass(frozen=True)
class ResponsesAnswer:
    """A composed answer in OpenAI's shapes; ``model`` is the name that the answer gives."""

    request: ResponsesRequest
    model: str
    tier: str
    context: Context
    choice: Choice
    usage: Usage
    digest: str
    _numbers: Iterator[int] = field(default_factory=count)

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give a ``response``."""
        return encoded(self._ended(omit_usage=omit_usage))

    @property
    def _identity(self) -> str:
        return f"resp_{self.context.request_id.removeprefix('req_')}"

    def _store(self) -> None:
        """Store it with all that was said before, from its end on."""
        context = self.context
        opened = [self._opened(number, part) for number, part in enumerate(self.choice.parts)]
        said = [
            *self.request.items,
            *responses_state.answered(self.choice, opened, context.account),
        ]
        context.stored.keep(context.account, self._identity, said)

    def _response(self) -> dict[str, object]:
        request = self.request
        asked = request.reasoning
        text = request.text.model_dump(by_alias=True, exclude_none=True) if request.text else {}
        choice = request.tool_choice or "auto"
        return {
            "id": self._identity,
            "object": "response",
            "created_at": self.context.created,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "metadata": request.metadata or {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": {
                "effort": asked.effort if asked else None,
                "summary": asked.summary if asked else None,
            },
            "safety_identifier": request.safety_identifier,
            "service_tier": self.tier,
            "store": request.store is not False,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": {"format": {"type": "text"}, **text},
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
            "tools": [_tool(tool) for tool in request.tools or ()],
            "top_logprobs": request.top_logprobs or 0,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": request.truncation or "disabled",
            "usage": None,
            "user": request.user,
        }

    def _ended(self, *, omit_usage: bool) -> dict[str, object]:
        document = self._response()
        document["output"] = [self._item(n, part) for n, part in enumerate(self.choice.parts)]
        document["status"] = "completed"
        if self.choice.finish == "length":
            document["status"] = "incomplete"
            document["incomplete_details"] = {"reason": "max_output_tokens"}
        if not omit_usage:
            document["usage"] = self._usage()
        if self.request.store is not False:
            self._store()
        return document

    def _usage(self) -> dict[str, object]:
        usage = self.usage
        return {
            "input_tokens": usage.prompt,
            "input_tokens_details": {
                "cached_tokens": usage.cached_input,
                "cache_write_tokens": 0,
            },
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + usage.output,
        }

    def _is_custom(self, name: str) -> bool:
        tools = self.request.tools or ()
        return any(isinstance(tool, CustomTool) and tool.name == name for tool in tools)

    def _opened(self, number: int, part: Part) -> dict[str, object]:
        """Give an item as ``response.output_item.added`` shows it."""
        identity = f"{self.digest[:24]}{number:02d}"
        if part.kind == "reasoning":
            return {"id": f"rs_{identity}", "type": "reasoning", "summary": []}
        if part.kind == "text":
            return {
                "id": f"msg_{identity}",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
        call: dict[str, object] = {"call_id": f"call_{identity}", "name": part.name}
        if self._is_custom(part.name):
            return {"id": f"ctc_{identity}", "type": "custom_tool_call", **call, "input": ""}
        head = {"id": f"fc_{identity}", "type": "function_call", "status": "in_progress"}
        return {**head, **call, "arguments": ""}

    def _item(self, number: int, part: Part) -> dict[str, object]:
        item = self._opened(number, part)
        is_cut = self.choice.finish == "length" and number == len(self.choice.parts) - 1
        if "status" in item:
            item["status"] = "incomplete" if is_cut else "completed"
        if part.kind == "text":
            item["content"] = [_output_text(part.text)]
        elif part.kind == "tool":
            item["input" if "input" in item else "arguments"] = part.text
        else:
            if self.request.wants_summary:
                item["summary"] = [{"type": "summary_text", "text": part.text}]
            if self.request.wants_encrypted:
                item["encrypted_content"] = sealed(part.text, self.context.account)
        return item

    def _event(self, kind: str, **said: object) -> bytes:
        document = {"type": kind, "sequence_number": next(self._numbers), **said}
        return named_frame(kind, document)

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the events up to the last finished item."""
        yield self._event("response.created", response=self._response()), 0
        yield self._event("response.in_progress", response=self._response()), 0
        for number, part in enumerate(self.choice.parts):
            opened = self._opened(number, part)
            place = {"item_id": opened["id"], "output_index": number}
            added = self._event("response.output_item.added", output_index=number, item=opened)
            yield added, part.unseen
            if part.kind == "reasoning":
                yield from self._summary(place, part, chunk_tokens)
            elif part.kind == "text":
                yield from self._message(place, part, chunk_tokens)
            else:
                yield from self._arguments(place, part, chunk_tokens)
            item = self._item(number, part)
            yield self._event("response.output_item.done", output_index=number, item=item), 0

    def _summary(
        self, place: dict[str, object], part: Part, chunk_tokens: int
    ) -> Iterator[tuple[bytes, int]]:
        """Reasoning is generated whether it is shown or not."""
        if not self.request.wants_summary:
            yield b": reasoning\n\n", part.tokens
            return
        place = {**place, "summary_index": 0}
        kind = "response.reasoning_summary"
        empty = {"type": "summary_text", "text": ""}
        yield self._event(f"{kind}_part.added", **place, part=empty), 0
        for group in grouped(part.pieces, chunk_tokens):
            yield self._event(f"{kind}_text.delta", **place, delta="".join(group)), len(group)
        yield self._event(f"{kind}_text.done", **place, text=part.text), 0
        whole = {"type": "summary_text", "text": part.text}
        yield self._event(f"{kind}_part.done", **place, part=whole), 0

    def _message(
        self, place: dict[str, object], part: Part, chunk_tokens: int
    ) -> Iterator[tuple[bytes, int]]:
        place = {**place, "content_index": 0}
        yield self._event("response.content_part.added", **place, part=_output_text("")), 0
        for group in grouped(part.pieces, chunk_tokens):
            said = {"delta": "".join(group), "logprobs": []}
            yield self._event("response.output_text.delta", **place, **said), len(group)
        done = {"text": part.text, "logprobs": []}
        yield self._event("response.output_text.done", **place, **done), 0
        yield self._event("response.content_part.done", **place, part=_output_text(part.text)), 0

    def _arguments(
        self, place: dict[str, object], part: Part, chunk_tokens: int
    ) -> Iterator[tuple[bytes, int]]:
        is_custom = self._is_custom(part.name)
        kind = "custom_tool_call_input" if is_custom else "function_call_arguments"
        for group in grouped(part.pieces, chunk_tokens):
            delta = "".join(group)
            yield self._event(f"response.{kind}.delta", **place, delta=delta), len(group)
        said = {"input" if is_custom else "arguments": part.text}
        yield self._event(f"response.{kind}.done", **place, **said), 0

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the event that ends the stream, with the whole response."""
        document = self._ended(omit_usage=omit_usage)
        return self._event(f"response.{document['status']}", response=document)

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the event that tells an error in the middle of a stream."""
        error = {"code": refusal.code or "server_error", "message": refusal.message, "param": None}
        return self._event("error", **error)


def _output_text(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _tool(tool: FunctionTool | CustomTool) -> dict[str, object]:
    """Give a tool as it is told back, with what was left out."""
    told = tool.model_dump(exclude_none=True)
    if isinstance(tool, FunctionTool):
        return {"parameters": None, "strict": True, "description": None} | told
    return {"format": {"type": "text"}} | told

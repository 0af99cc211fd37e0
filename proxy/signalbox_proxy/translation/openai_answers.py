"""Writes answers as chat completions, whole and as a stream of chunks.

Reasoning goes out as `reasoning_content`, as open-weight servers return it. Of signatures the
format has a place for Google's alone, beside the call that follows (`extra_content`, "Thought
signatures", OpenAI compatibility); encrypted reasoning has none. Both forms say the same, field by
field.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy import run_ids
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.translation import answer as neutral
from signalbox_proxy.translation.answer import Answer, FinishReason
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall

FINISH: Final[Mapping[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}

GOOGLES: Final = "gemini"
"""The origin of signatures that this format has a place for (`Thinking.origin`)."""

DONE: Final = b"data: [DONE]\n\n"


def write_chat_answer(request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
    """A whole answer as a `chat.completion`."""
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    texts = [part.text for part in answer.parts if isinstance(part, Text)]
    refusals = [part.text for part in answer.parts if isinstance(part, Refused)]
    thoughts = [part.text for part in answer.parts if isinstance(part, Thinking)]
    is_silent = not texts and (calls or refusals)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if is_silent else "".join(texts),
        "refusal": "".join(refusals) or None,
        "annotations": [],
    }
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    is_old = len(calls) == 1 and _is_old_form(request)
    if is_old:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": _called(call.name, call.arguments)}
            | _beside(signature)
            for call, signature in _signed(answer)
        ]
    document = _head("chat.completion", request, answer_id)
    finish = _finish(answer.finish, has_refused=bool(refusals), is_old=is_old)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    document["choices"] = [choice]
    if answer.usage is not None:
        document["usage"] = chat_usage(answer.usage)
    return msgspec.json.encode(document)


def chat_usage(usage: Usage) -> dict[str, Any]:
    """Usage in OpenAI's way: the prompt includes what was read from and written to a cache."""
    written = usage.cache_write_5m + usage.cache_write_1h
    prompt = usage.input + usage.cached_input + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class ChatEventWriter:
    """Writes one stream; see `contract.EventWriter`.

    The usage chunk comes last before `[DONE]`, and only where the client asked for it.
    """

    def __init__(self, request: ModelRequest, answer_id: str) -> None:
        self._head = _head("chat.completion.chunk", request, answer_id)
        self._wants_usage = request.wants_stream_usage
        self._is_old_form = _is_old_form(request)
        self._opening: dict[str, Any] = {"role": "assistant"}
        self._kind = ""
        self._calls = 0
        self._origin = self._signature = ""
        self._has_refused = False
        self._usage: Usage | None = None
        self._is_over = False

    def start(self) -> bytes:
        """Nothing: the first chunk says how the message begins."""
        return b""

    def write(self, event: neutral.Event) -> bytes:
        """The bytes of one event."""
        if self._is_over:
            return b""
        match event:
            case neutral.PartBegins():
                return self._begin(event)
            case neutral.PartGrows(piece=piece):
                return self._grow(piece) if piece else b""
            case neutral.PartSigned(signature=signature):
                self._signature = signature if self._origin == GOOGLES else ""
            case neutral.Finished(finish=finish):
                return self._finished(finish)
            case neutral.Counted(usage=usage, is_final=is_final):
                self._usage = usage if is_final else self._usage
            case neutral.Ended():
                self._is_over = True
                return self._usage_chunk() + DONE
            case neutral.Failed(message=message):
                self._is_over = True
                return _frame({"error": _error(message)})
        return b""

    def _begin(self, event: neutral.PartBegins) -> bytes:
        self._kind, self._origin = event.kind, event.origin
        signature, self._signature = self._signature, ""
        if event.kind == "refusal":
            self._has_refused = True
        if event.kind != "tool_call":
            return self._chunk({}) if self._opening else b""
        self._calls += 1
        if self._is_old_form and self._calls == 1:
            return self._chunk({"function_call": _called(event.name, "")})
        call = {"index": self._calls - 1, "id": event.id, "type": "function"} | _beside(signature)
        return self._chunk({"tool_calls": [{**call, "function": _called(event.name, "")}]})

    def _grow(self, piece: str) -> bytes:
        if self._kind == "text":
            return self._chunk({"content": piece})
        if self._kind == "thinking":
            return self._chunk({"reasoning_content": piece})
        if self._kind == "refusal":
            return self._chunk({"refusal": piece})
        if self._is_old_form and self._calls == 1:
            return self._chunk({"function_call": {"arguments": piece}})
        more = {"index": self._calls - 1, "function": {"arguments": piece}}
        return self._chunk({"tool_calls": [more]})

    def _finished(self, finish: FinishReason) -> bytes:
        is_old = self._calls == 1 and self._is_old_form
        reason = _finish(finish, has_refused=self._has_refused, is_old=is_old)
        return self._chunk({}, reason)

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        if self._opening:
            is_silent = self._kind in ("tool_call", "refusal")
            self._opening |= {"content": None if is_silent else "", "refusal": None}
            delta, self._opening = self._opening | delta, {}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        document = {**self._head, "choices": [choice]}
        if self._wants_usage:
            document["usage"] = None
        return _frame(document)

    def _usage_chunk(self) -> bytes:
        if not self._wants_usage or self._usage is None:
            return b""
        return _frame({**self._head, "choices": [], "usage": chat_usage(self._usage)})


def _head(kind: str, request: ModelRequest, answer_id: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer_id}",
        "object": kind,
        "created": run_ids.instant_of(answer_id) // 1000 if run_ids.is_run_id(answer_id) else 0,
        "model": request.model,
    }


def _finish(finish: FinishReason, *, has_refused: bool, is_old: bool) -> str:
    """The finish reason; a refusal that has words is an answer that ended, as OpenAI tells it."""
    if finish == "refusal" and has_refused:
        return "stop"
    return "function_call" if is_old and finish == "tool_calls" else FINISH[finish]


def _is_old_form(request: ModelRequest) -> bool:
    return bool(request.body.get("functions")) and not request.body.get("tools")


def _signed(answer: Answer) -> Iterator[tuple[ToolCall, str]]:
    """The calls, each with Google's signature that stands right before it, or ""."""
    signature = ""
    for part in answer.parts:
        if isinstance(part, ToolCall):
            yield part, signature
        is_googles = isinstance(part, Thinking) and part.origin == GOOGLES
        signature = part.signature if isinstance(part, Thinking) and is_googles else ""


def _beside(signature: str) -> dict[str, Any]:
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def _called(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def _error(message: str) -> dict[str, Any]:
    return {"message": message, "type": "api_error", "param": None, "code": "provider_failed"}


def _frame(document: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"

"""Writes answers as Anthropic's Message; the pieces that its stream shares are here."""

from typing import Any, Final

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body, encode_body
from signalbox_proxy.translation.answer import Answer, FinishReason
from signalbox_proxy.translation.anthropic_names import ORIGIN, STOP_REASON, tool_id
from signalbox_proxy.translation.conversation import Refused, Thinking, ToolCall
from signalbox_proxy.translation.signatures import is_sealed, seal

_SHOWN: Final = frozenset({"enabled", "adaptive", "between_tools"})


def write_message(request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
    """A whole answer."""
    content, has_tool_calls, has_refused = _content(answer, ThinkingView(request))
    message = new_message(answer_id, request.model)
    message["content"] = content
    message |= stop(
        answer.finish,
        answer.stop_sequence,
        has_tool_calls=has_tool_calls,
        has_refused=has_refused,
    )
    message["usage"] = whole_usage(answer.usage)
    return encode_body(message)


def new_message(answer_id: str, model: str) -> dict[str, Any]:
    """A Message before anything is known of it."""
    return {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": whole_usage(None),
    }


class ThinkingView:
    """What a client sees of the reasoning.

    One that asked for no thinking takes the first block for the answer, so it gets none, with one
    exception: a signature right before a tool call, without its text, because the vendor wants it
    back with the tool's result.
    """

    def __init__(self, request: ModelRequest) -> None:
        asked = request.body.get("thinking")
        asked = asked if isinstance(asked, dict) else {}
        self.shows_blocks = asked.get("type") in _SHOWN
        self.shows_text = self.shows_blocks and asked.get("display") != "omitted"


def sealed(origin: str, signature: str) -> str:
    """A signature as this client keeps it; Anthropic's own is what it was."""
    if origin == ORIGIN and not is_sealed(signature):
        return signature
    return seal(origin, signature)


def _content(answer: Answer, view: ThinkingView) -> tuple[list[dict[str, Any]], bool, bool]:
    """The blocks, whether a tool is called, whether the model refused."""
    content: list[dict[str, Any]] = []
    unasked: list[Thinking] = []
    has_tool_calls = has_refused = False
    for part in answer.parts:
        if isinstance(part, Thinking):
            if view.shows_blocks:
                content.append(_thinking(part, with_text=view.shows_text))
            elif part.signature or part.redacted:
                unasked.append(part)
            continue
        if isinstance(part, ToolCall):
            content += [_thinking(kept, with_text=False) for kept in unasked]
            content.append(_tool_use(part))
            has_tool_calls = True
        else:
            content.append({"type": "text", "text": part.text})
            has_refused = has_refused or isinstance(part, Refused)
        unasked = []
    return content, has_tool_calls, has_refused


def _thinking(part: Thinking, *, with_text: bool) -> dict[str, Any]:
    if part.redacted:
        return {"type": "redacted_thinking", "data": sealed(part.origin, part.redacted)}
    return {
        "type": "thinking",
        "thinking": part.text if with_text else "",
        "signature": sealed(part.origin, part.signature),
    }


def _tool_use(part: ToolCall) -> dict[str, Any]:
    """A call of a tool. Arguments that are no JSON object, or were cut off, come as
    Anthropic's pages on tools wrap them, so that the tool refuses them and nothing else is lost."""
    try:
        given = decode_body(part.arguments.encode(), "", "") if part.arguments.strip() else {}
    except (Refusal, UnicodeEncodeError):
        given = {"INVALID_JSON": part.arguments}
    return {"type": "tool_use", "id": tool_id(part.id), "name": part.name, "input": given}


def stop(
    finish: FinishReason, stop_sequence: str, *, has_tool_calls: bool, has_refused: bool
) -> dict[str, Any]:
    """Why the answer ended.

    Some servers say of an answer that calls tools that it just ended; Anthropic's clients run
    tools only where `stop_reason` says so.
    """
    reason = STOP_REASON[finish]
    if reason == "end_turn":
        reason = "refusal" if has_refused else "tool_use" if has_tool_calls else reason
    return {
        "stop_reason": reason,
        "stop_sequence": stop_sequence or None if reason == "stop_sequence" else None,
    }


def whole_usage(usage: Usage | None) -> dict[str, Any]:
    """The `usage` of a message; zeros where it is not known, because the field is required."""
    usage = usage or Usage()
    return running_usage(usage) | {
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "service_tier": "standard",
    }


def running_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` of a `message_delta`: totals, cached input outside `input_tokens`."""
    record: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cached_input,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        record["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return record

"""Writes answers as responses: the whole document, and the items that its stream shares.

Each part of an answer is an output item of its own. Reasoning is written as a summary, with its
vendor's signature in `encrypted_content`, so that the next request can bring it back.
"""

from typing import Any, Final, Literal

from signalbox_ledger.records import Usage
from signalbox_proxy import run_ids
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation.answer import Answer, FinishReason
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.translation.responses_reading import sealed_thinking

Status = Literal["in_progress", "completed", "incomplete", "failed"]

_CUT: Final[dict[FinishReason, str]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
_ECHOED: Final = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "temperature",
    "top_p",
    "user",
)


def write_response(request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
    """A whole answer."""
    output = [item_of(part, n, answer_id) for n, part in enumerate(answer.parts)]
    has_refused = any(isinstance(part, Refused) for part in answer.parts)
    document = response_document(request, answer_id)
    end_response(document, output, answer.finish, answer.usage, has_refused=has_refused)
    return encode_body(document)


def response_document(request: ModelRequest, answer_id: str) -> dict[str, Any]:
    """A response that has begun: what the request said, and nothing said yet."""
    body = request.body
    created = run_ids.instant_of(answer_id) // 1000 if run_ids.is_run_id(answer_id) else 0
    status: Status = "in_progress"
    text = body.get("text") or {}
    reasoning = body.get("reasoning") or {}
    echoed = {name: body.get(name) for name in _ECHOED}
    return {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        **echoed,
        "metadata": body.get("metadata") or {},
        "model": request.model,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": False,
        "text": {"format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in body.get("tools") or ()],
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
    }


def end_response(
    document: dict[str, Any],
    output: list[dict[str, Any]],
    finish: FinishReason | None,
    usage: Usage | None,
    *,
    has_refused: bool,
) -> None:
    """Write into a response how it ended. A refusal that has words is an answer that ended."""
    document["output"] = output
    cut = None if finish == "refusal" and has_refused else _CUT.get(finish or "stop")
    if finish is None:
        document["status"] = "failed"
        message = "The provider ended its answer without a reason."
        document["error"] = {"code": "server_error", "message": message}
    elif cut is not None:
        document["status"] = "incomplete"
        document["incomplete_details"] = {"reason": cut}
    else:
        document["status"] = "completed"
    if usage is not None:
        document["usage"] = response_usage(usage)


def response_usage(usage: Usage) -> dict[str, Any]:
    """Usage in OpenAI's way: the input includes what was read from and written to a cache."""
    written = usage.cache_write_5m + usage.cache_write_1h
    total_input = usage.input + usage.cached_input + written
    return {
        "input_tokens": total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": written,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": total_input + usage.output,
    }


def item_of(
    part: Text | Thinking | ToolCall | Refused, index: int, answer_id: str
) -> dict[str, Any]:
    """A whole part as an output item."""
    if isinstance(part, Thinking):
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        item: dict[str, Any] = {"id": item_id("rs", answer_id, index), "type": "reasoning"}
        item |= {"summary": summary}
        if part.origin:
            encrypted = sealed_thinking(part.origin, part.signature, part.redacted)
            item["encrypted_content"] = encrypted
        return item
    if isinstance(part, ToolCall):
        return {
            "id": item_id("fc", answer_id, index),
            "type": "function_call",
            "status": "completed",
            "call_id": part.id,
            "name": part.name,
            "arguments": part.arguments,
        }
    return {
        "id": item_id("msg", answer_id, index),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content_of(part)],
    }


def content_of(part: Text | Refused) -> dict[str, Any]:
    """The content part of a message."""
    if isinstance(part, Refused):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}


def item_id(kind: str, answer_id: str, index: int) -> str:
    """The id of an item: unique in its answer."""
    return f"{kind}_{answer_id}_{index}"


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function as OpenAI tells it back, with what was left out."""
    return {"parameters": None, "strict": False} | tool

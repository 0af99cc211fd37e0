"""Reads whole answers of Converse, and what its usage record says.

Source: Amazon Bedrock API Reference, ConverseResponse, ContentBlock, TokenUsage; User Guide,
"Prompt caching": `inputTokens` are those that were neither read from nor written to a cache, and
the total input is `inputTokens + cacheReadInputTokens + cacheWriteInputTokens`.
"""

from typing import Any, Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.usage import token_count
from signalbox_proxy.translation.answer import Answer, FinishReason
from signalbox_proxy.translation.arguments import object_text
from signalbox_proxy.translation.bedrock_content import ORIGIN
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.unreadable import UNREADABLE

_FINISH: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "content_filter",
    "malformed_tool_use": "content_filter",
}
"""What the service could not parse, it keeps back: no whole answer, and none that a limit cut."""


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _ReasoningText(msgspec.Struct, rename="camel"):
    text: str
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _CitedText(msgspec.Struct, rename="camel"):
    text: str = ""


class _Cited(msgspec.Struct, rename="camel"):
    content: list[_CitedText] = []


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None


class _Message(msgspec.Struct, rename="camel"):
    content: list[_Block]


class _Output(msgspec.Struct, rename="camel"):
    message: _Message


class _Response(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str
    usage: Any = None
    additional_model_response_fields: Any = None


_RESPONSE: Final = msgspec.json.Decoder(_Response)


def read_answer(body: bytes) -> Answer:
    """A whole answer. Raises `Unreadable`."""
    try:
        response = _RESPONSE.decode(body)
    except UNREADABLE:
        raise Unreadable("the answer is not one of Converse") from None
    return Answer(
        id="",
        parts=tuple(_part(block) for block in response.output.message.content),
        finish=finish_of(response.stop_reason),
        usage=usage_of(response.usage),
        stop_sequence=stop_sequence_of(response.additional_model_response_fields),
        provider_finish=response.stop_reason[:64],
    )


def finish_of(reason: str) -> FinishReason:
    """The neutral reason; one that is not known is not taken for the end of a whole answer."""
    return _FINISH.get(reason, "length")


def stop_sequence_of(fields: object) -> str:
    """The stop sequence that ended an answer, "" where the model does not tell."""
    found = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return found if isinstance(found, str) else ""


def usage_of(record: object) -> Usage | None:
    """The usage record as the ledger has it; None where it is missing or not plausible.

    Cache writes that `cacheDetails` does not split by lifetime count as the shorter one's. Tokens
    of the total that no other count has are output: the dearest that they can be.
    """
    if not isinstance(record, dict):
        return None
    fresh = token_count(record, "inputTokens", required=True)
    output = token_count(record, "outputTokens", required=True)
    total = token_count(record, "totalTokens")
    read = token_count(record, "cacheReadInputTokens")
    written = token_count(record, "cacheWriteInputTokens")
    split = _writes(record.get("cacheDetails"))
    if fresh is None or output is None or total is None or read is None:
        return None
    if written is None or split is None:
        return None
    short, long = split
    short = max(short, written - long)
    return Usage(
        input=fresh,
        cached_input=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=max(output, total - fresh - read - short - long),
    )


def _writes(details: object) -> tuple[int, int] | None:
    """Tokens written for five minutes and for an hour."""
    if details is None:
        return 0, 0
    if not isinstance(details, list) or len(details) > 16:
        return None
    written = {"5m": 0, "1h": 0}
    for detail in details:
        if not isinstance(detail, dict) or detail.get("ttl") not in written:
            return None
        tokens = token_count(detail, "inputTokens", required=True)
        if tokens is None:
            return None
        written[detail["ttl"]] += tokens
    return written["5m"], written["1h"]


def _part(block: _Block) -> Text | Thinking | ToolCall | Refused:
    if block.text is not None:
        return Text(block.text)
    if block.tool_use is not None:
        called = block.tool_use
        return ToolCall(called.tool_use_id, called.name, object_text(called.input))
    if block.reasoning_content is not None:
        return _thinking(block.reasoning_content)
    if block.citations_content is not None:
        return Text("".join(piece.text for piece in block.citations_content.content))
    raise Unreadable("the answer has a block of a kind that was not asked for")


def _thinking(reasoning: _Reasoning) -> Thinking:
    if reasoning.reasoning_text is not None:
        said = reasoning.reasoning_text
        return Thinking(text=said.text, signature=said.signature or "", origin=ORIGIN)
    if reasoning.redacted_content is not None:
        return Thinking(redacted=reasoning.redacted_content, origin=ORIGIN)
    raise Unreadable("the answer has reasoning of a kind that is not known")

"""``POST /v1/messages``: requests in, Anthropic's answers and named events out."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

from . import messages_prompt, messages_rules
from .behaviour import Effects
from .composition import Choice, Order, Part, ToolWish, compose, grouped
from .messages_request import (
    AutoChoice,
    CustomTool,
    MessagesRequest,
    NoneChoice,
    ThinkingAdaptive,
    ThinkingEnabled,
    ToolChoice,
)
from .messages_rules import SERVER_TOOLS, check_headers
from .prompt import Prompt
from .refusals import Refusal, anthropic_error
from .sheet import ModelSheet, Usage
from .strict import validate
from .structured import Schema
from .surface import EVENT_STREAM, Context, encoded, find_model, named_frame

THINKING_TOKENS = 96
FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool": "tool_use",
}
BUILT_IN: dict[str, Schema] = {
    "bash": {"type": "object", "properties": {"command": {"const": "ls"}}},
    "memory": {
        "type": "object",
        "properties": {"command": {"const": "view"}, "path": {"const": "/memories"}},
    },
}
EDITOR: Schema = {
    "type": "object",
    "properties": {"command": {"const": "view"}, "path": {"const": "/repo/README.md"}},
}

__all__ = ["MessagesSurface", "check_headers"]


class MessagesSurface:
    """The messages endpoint."""

    stream_type = EVENT_STREAM

    def read(self, document: dict[str, object], context: Context) -> MessagesPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(MessagesRequest, document)
        found = find_model(context, request.model)
        if found is None:
            raise Refusal(404, f"model: {request.model[:200]}")
        name, model = found
        messages_rules.check(request, model)
        prompt = messages_prompt.meter(request, model)
        messages_rules.check_length(prompt, model)
        return MessagesPending(request, name, model, prompt, context)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give Anthropic's error body."""
        return encoded(anthropic_error(refusal, request_id))


@dataclass(frozen=True)
class MessagesPending:
    """A metered request."""

    request: MessagesRequest
    model: str
    section: ModelSheet
    prompt: Prompt
    context: Context

    @property
    def tier(self) -> str:
        """The price that is billed: where the request asks for a region, that region's."""
        geo = self.request.inference_geo
        return geo if geo in self.section.service_tiers else "standard"

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.request.stream)

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""
        return self.prompt.last_user_text

    def compose(self, effects: Effects) -> MessagesAnswer:
        """Compose the answer."""
        digest = self.context.digest(self.model, self.prompt)
        overshoot = effects.overshoot_tokens
        limit = self.request.max_tokens + (overshoot or 0)
        thinking = self.request.thinking
        thinks = isinstance(thinking, (ThinkingEnabled, ThinkingAdaptive))
        output = self.request.output_config
        choice = compose(
            Order(
                seed=digest,
                limit=limit,
                wanted=limit if overshoot else effects.tokens,
                shortest=self.context.answer_tokens[0],
                longest=self.context.answer_tokens[1],
                stops=tuple(self.request.stop_sequences or ()),
                tools=self._wishes(effects),
                schema=output.format.schema_ if output and output.format else None,
                reasoning=THINKING_TOKENS if thinks else 0,
            )
        )
        usage = self.context.kept_by_points(self.model, self.section, self.prompt)
        generated = {"output": choice.tokens, "reasoning": choice.reasoning}
        return MessagesAnswer(self, choice, usage.model_copy(update=generated), digest.hex())

    def _wishes(self, effects: Effects) -> tuple[ToolWish, ...]:
        choice = self.request.tool_choice
        tools: dict[str, Schema] = {}
        for tool in self.request.tools or ():
            if isinstance(tool, CustomTool):
                tools[tool.name] = tool.input_schema
            elif not isinstance(tool, SERVER_TOOLS):
                tools[tool.name] = BUILT_IN.get(tool.name, EDITOR)
        forced = isinstance(choice, ToolChoice)
        forced = forced or (isinstance(choice, AutoChoice) and choice.type == "any")
        count = max(effects.call_tools or 0, 1 if forced else 0)
        if not tools or not count or isinstance(choice, NoneChoice):
            return ()
        names = list(tools)
        if isinstance(choice, ToolChoice):
            names = [choice.name] if choice.name in tools else names
        if choice is not None and choice.disable_parallel_tool_use:
            count = 1
        return tuple(ToolWish(name, tools[name]) for name in (names * count)[:count])


@dataclass(frozen=True)
class MessagesAnswer:
    """A composed answer in Anthropic's shapes."""

    pending: MessagesPending
    choice: Choice
    usage: Usage
    digest: str

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give a ``message``."""
        document = self._message()
        document["content"] = [self._block(n, part) for n, part in enumerate(self.choice.parts)]
        document |= self._ending()
        if not omit_usage:
            document["usage"] = self._usage(self.usage.output)
        return encoded(document)

    def _message(self) -> dict[str, object]:
        return {
            "id": f"msg_{self.pending.context.request_id.removeprefix('req_')}",
            "type": "message",
            "role": "assistant",
            "model": self.pending.section.served_as or self.pending.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _ending(self) -> dict[str, object]:
        return {
            "stop_reason": FINISH[self.choice.finish],
            "stop_sequence": self.choice.stop_sequence,
        }

    def _block(self, number: int, part: Part) -> dict[str, object]:
        if part.kind == "reasoning":
            thinking = {"type": "thinking", "thinking": part.text}
            return {**thinking, "signature": self._signature()}
        if part.kind == "tool":
            return {**self._opened(number, part), "input": _input(part.text)}
        return {"type": "text", "text": part.text}

    def _signature(self) -> str:
        return base64.b64encode(self.digest.encode() * 2).decode()

    def _opened(self, number: int, part: Part) -> dict[str, object]:
        """Give a block as ``content_block_start`` shows it."""
        if part.kind == "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        if part.kind == "tool":
            identity = f"toolu_{self.digest[:20]}{number:02d}"
            return {"type": "tool_use", "id": identity, "name": part.name, "input": {}}
        return {"type": "text", "text": ""}

    def _usage(self, output: int) -> dict[str, object]:
        usage = self.usage
        return {
            "input_tokens": usage.input,
            "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "cache_read_input_tokens": usage.cached_input,
            "cache_creation": {
                "ephemeral_5m_input_tokens": usage.cache_write_5m,
                "ephemeral_1h_input_tokens": usage.cache_write_1h,
            },
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": min(output, usage.reasoning)},
            "service_tier": "standard",
            "inference_geo": self.pending.request.inference_geo or "global",
        }

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the events up to the last ``content_block_stop``."""
        message = self._message()
        message["usage"] = self._usage(min(1, self.usage.output))
        yield named_frame("message_start", {"type": "message_start", "message": message}), 0
        for number, part in enumerate(self.choice.parts):
            start = {"type": "content_block_start", "index": number}
            start["content_block"] = self._opened(number, part)
            yield named_frame("content_block_start", start), part.unseen
            if number == 0:
                yield named_frame("ping", {"type": "ping"}), 0
            for group in grouped(part.pieces, chunk_tokens):
                yield _delta(number, _fragment(part, "".join(group))), len(group)
            if part.kind == "reasoning":
                signature = {"type": "signature_delta", "signature": self._signature()}
                yield _delta(number, signature), 0
            stop = {"type": "content_block_stop", "index": number}
            yield named_frame("content_block_stop", stop), 0

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give ``message_delta`` with the cumulative usage, and ``message_stop``."""
        delta: dict[str, object] = {"type": "message_delta", "delta": self._ending()}
        if not omit_usage:
            usage = self._usage(self.usage.output)
            for name in ("cache_creation", "service_tier", "inference_geo"):
                del usage[name]
            delta["usage"] = usage
        return named_frame("message_delta", delta) + named_frame(
            "message_stop", {"type": "message_stop"}
        )

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the event that tells an error in the middle of a stream."""
        return named_frame("error", anthropic_error(refusal, self.pending.context.request_id))


def _delta(number: int, delta: dict[str, str]) -> bytes:
    document = {"type": "content_block_delta", "index": number, "delta": delta}
    return named_frame("content_block_delta", document)


def _fragment(part: Part, text: str) -> dict[str, str]:
    if part.kind == "reasoning":
        return {"type": "thinking_delta", "thinking": text}
    if part.kind == "tool":
        return {"type": "input_json_delta", "partial_json": text}
    return {"type": "text_delta", "text": text}


def _input(text: str) -> dict[str, object]:
    """Read a call's arguments; a call cut by the output limit has none."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

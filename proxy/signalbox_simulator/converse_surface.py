"""``POST /model/ID/converse`` and ``/converse-stream``: Bedrock's answers and binary events out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from . import converse_prompt, converse_rules, event_frames
from .behaviour import Effects
from .composition import Choice, Order, Part, ToolWish, compose, grouped
from .converse_request import ConverseRequest
from .prompt import Prompt
from .refusals import Refusal
from .sheet import ModelSheet, Usage
from .strict import validate
from .surface import Context, encoded, find_model

PATH = re.compile(r"/model/([^/]{1,2048})/(converse|converse-stream)")
REASONING_TOKENS = 96
FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool": "tool_use",
}
EXCEPTIONS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "ValidationException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


def exception_name(status: int) -> str:
    """Give the name of an error, as in the header x-amzn-ErrorType."""
    return EXCEPTIONS.get(status, "InternalServerException")


class ConverseSurface:
    """The two operations."""

    stream_type = event_frames.CONTENT_TYPE

    def read(self, document: dict[str, object], context: Context) -> ConversePending:
        """Validate and meter a request; raises Refusal."""
        found = PATH.fullmatch(context.path)
        asked = unquote(found[1]) if found else ""
        model = find_model(context, asked)
        if found is None or model is None:
            raise Refusal(400, "The provided model identifier is invalid.")
        name, section = model
        request = validate(ConverseRequest, document)
        converse_rules.check(request, name, section)
        prompt = converse_prompt.meter(request, section)
        converse_rules.check_length(prompt, section)
        streams = found[2] == "converse-stream"
        return ConversePending(request, name, section, prompt, context, streams)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give the error body; the error's name is in a header."""
        return encoded({"message": refusal.message})


@dataclass(frozen=True)
class ConversePending:
    """A metered request."""

    request: ConverseRequest
    model: str
    section: ModelSheet
    prompt: Prompt
    context: Context
    stream: bool

    @property
    def tier(self) -> str:
        """The service tier that is billed."""
        tier = self.request.service_tier
        return tier.type if tier is not None else "default"

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""
        return self.prompt.last_user_text

    def compose(self, effects: Effects) -> ConverseAnswer:
        """Compose the answer."""
        digest = self.context.digest(self.model, self.prompt)
        inference = self.request.inference_config
        wanted = inference.max_tokens if inference else None
        limit = wanted or self.section.output_room(self.prompt.total)
        overshoot = effects.overshoot_tokens
        limit += overshoot or 0
        choice = compose(
            Order(
                seed=digest,
                limit=limit,
                wanted=limit if overshoot else effects.tokens,
                shortest=self.context.answer_tokens[0],
                longest=self.context.answer_tokens[1],
                stops=tuple(inference.stop_sequences or ()) if inference else (),
                tools=self._wishes(effects),
                schema=converse_rules.output_schema(self.request),
                reasoning=REASONING_TOKENS if self.request.thinking is not None else 0,
            )
        )
        usage = self.context.kept_by_points(self.model, self.section, self.prompt)
        generated = {"output": choice.tokens, "reasoning": choice.reasoning}
        return ConverseAnswer(self, choice, usage.model_copy(update=generated), digest.hex())

    def _wishes(self, effects: Effects) -> tuple[ToolWish, ...]:
        tools = {tool.name: tool.input_schema.data for tool in self.request.tools}
        count = max(effects.call_tools or 0, int(self.request.forced))
        config = self.request.tool_config
        if config is None or not count:
            return ()
        named = config.tool_choice.tool if config.tool_choice else None
        names = [named.name] if named else list(tools)
        return tuple(ToolWish(name, tools[name]) for name in (names * count)[:count])


@dataclass(frozen=True)
class ConverseAnswer:
    """A composed answer in Bedrock's shapes."""

    pending: ConversePending
    choice: Choice
    usage: Usage
    digest: str

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give a ``ConverseResponse``."""
        content = [self._block(number, part) for number, part in enumerate(self.choice.parts)]
        document: dict[str, object] = {
            "output": {"message": {"role": "assistant", "content": content}},
            **self._ending(),
            "metrics": {"latencyMs": 17},
        }
        if not omit_usage:
            document["usage"] = self._usage()
        return encoded(document)

    def _ending(self) -> dict[str, object]:
        ending: dict[str, object] = {"stopReason": FINISH[self.choice.finish]}
        paths = self.pending.request.additional_model_response_field_paths or ()
        if "/stop_sequence" in paths and "anthropic." in self.pending.model:
            told = {"stop_sequence": self.choice.stop_sequence}
            ending["additionalModelResponseFields"] = told
        return ending

    def _call(self, number: int, part: Part) -> dict[str, object]:
        return {"toolUseId": f"tooluse_{self.digest[:20]}{number:02d}", "name": part.name}

    def _block(self, number: int, part: Part) -> dict[str, object]:
        if part.kind == "reasoning":
            said = {"text": part.text, "signature": converse_rules.sign(part.text)}
            return {"reasoningContent": {"reasoningText": said}}
        if part.kind == "tool":
            return {"toolUse": {**self._call(number, part), "input": _input(part.text)}}
        return {"text": part.text}

    def _usage(self) -> dict[str, object]:
        """Tokens read from and written to caches are not among ``inputTokens``."""
        usage = self.usage
        lifetimes = {"1h": usage.cache_write_1h, "5m": usage.cache_write_5m}
        return {
            "inputTokens": usage.input,
            "outputTokens": usage.output,
            "totalTokens": usage.prompt + usage.output,
            "cacheReadInputTokens": usage.cached_input,
            "cacheWriteInputTokens": usage.cache_write_5m + usage.cache_write_1h,
            "cacheDetails": [
                {"ttl": ttl, "inputTokens": tokens} for ttl, tokens in lifetimes.items() if tokens
            ],
        }

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the events up to the last ``contentBlockStop``."""
        yield event_frames.event("messageStart", {"role": "assistant"}), 0
        for number, part in enumerate(self.choice.parts):
            unsaid = part.unseen
            if part.kind == "tool":
                start = {"start": {"toolUse": self._call(number, part)}}
                yield _event("contentBlockStart", number, start), unsaid
                unsaid = 0
            for group in grouped(part.pieces, chunk_tokens):
                delta = {"delta": _fragment(part, "".join(group))}
                yield _event("contentBlockDelta", number, delta), len(group) + unsaid
                unsaid = 0
            if part.kind == "reasoning":
                signature = {"signature": converse_rules.sign(part.text)}
                signed = {"delta": {"reasoningContent": signature}}
                yield _event("contentBlockDelta", number, signed), 0
            yield _event("contentBlockStop", number, {}), unsaid

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give ``messageStop``, and ``metadata`` with the usage."""
        metadata: dict[str, object] = {"metrics": {"latencyMs": 17}}
        if not omit_usage:
            metadata["usage"] = self._usage()
        stop = event_frames.event("messageStop", self._ending())
        return stop + event_frames.event("metadata", metadata)

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the exception that ends a stream in the middle."""
        name = exception_name(refusal.status)
        return event_frames.exception(name[0].lower() + name[1:], refusal.message)


def _event(name: str, number: int, document: Mapping[str, object]) -> bytes:
    return event_frames.event(name, {"contentBlockIndex": number, **document})


def _fragment(part: Part, text: str) -> dict[str, object]:
    if part.kind == "reasoning":
        return {"reasoningContent": {"text": text}}
    if part.kind == "tool":
        return {"toolUse": {"input": text}}
    return {"text": text}


def _input(text: str) -> dict[str, object]:
    """Read a call's arguments; a call cut by the output limit has none."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}

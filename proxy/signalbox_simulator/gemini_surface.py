"""``POST …/models/MODEL:generateContent``: requests in, Google's answers and events out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from . import gemini_prompt, gemini_rules
from .behaviour import Effects
from .composition import Choice, Order, Part, ToolWish, compose, grouped
from .gemini_request import GeminiRequest
from .prompt import Prompt
from .refusals import Refusal, google_error
from .sheet import ModelSheet, Usage
from .strict import validate
from .structured import Schema
from .surface import Context, encoded, find_model

PATH = re.compile(
    r"^/(?:v1|v1beta|v1beta1)(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/google)?"
    r"/models/([^/:]+):(generateContent|streamGenerateContent)$"
)
THINKING = {None: 64, "MINIMAL": 8, "LOW": 32, "MEDIUM": 64, "HIGH": 96, "XHIGH": 128}
FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "stop_sequence": "STOP", "tool": "STOP"}
NO_CACHE = 0


def surface_of(path: str, alternative: str | None) -> GeminiSurface | None:
    """Give the surface for a path, with the query's ``alt``; None where the path is another's."""
    found = PATH.match(path)
    if found is None:
        return None
    stream = found[2] == "streamGenerateContent"
    return GeminiSurface(unquote(found[1]), stream, is_sse=alternative == "sse")


@dataclass(frozen=True)
class GeminiSurface:
    """The endpoint for one model; whether the answer is streamed stands in the path."""

    model: str = ""
    stream: bool = False
    is_sse: bool = False

    def read(self, document: dict[str, object], context: Context) -> GeminiPending:
        """Validate and meter a request; raises Refusal."""
        if self.stream and not self.is_sse:
            raise Refusal(400, "This provider streams server-sent events only: use alt=sse.")
        request = validate(GeminiRequest, document)
        found = find_model(context, self.model)
        if found is None:
            raise Refusal(
                404,
                f"models/{self.model[:200]} is not found for API version v1beta, or is not "
                "supported for generateContent.",
            )
        name, model = found
        gemini_rules.check(request, model)
        prompt = gemini_prompt.meter(request, model)
        if prompt.total > model.max_input_tokens:
            raise Refusal(
                400,
                f"The input token count ({prompt.total}) exceeds the maximum number of tokens "
                f"allowed ({model.max_input_tokens}).",
            )
        return GeminiPending(request, name, model, prompt, self.stream, context)

    @property
    def stream_type(self) -> str:
        """The content type of a stream."""
        return "text/event-stream"

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give Google's error body."""
        return encoded(google_error(refusal))


@dataclass(frozen=True)
class GeminiPending:
    """A metered request."""

    request: GeminiRequest
    model: str
    section: ModelSheet
    prompt: Prompt
    stream: bool
    context: Context

    @property
    def tier(self) -> str:
        """The service tier that is billed."""
        return self.request.service_tier or "standard"

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""
        return self.prompt.last_user_text

    def compose(self, effects: Effects) -> GeminiAnswer:
        """Compose the answer."""
        settings = self.request.settings
        digest = self.context.digest(self.model, self.prompt, settings.seed)
        overshoot = effects.overshoot_tokens or 0
        most = settings.max_output_tokens or self.section.max_output_tokens
        limit = most + overshoot
        choice = Choice((), "stop")
        if effects.withhold != "prompt":
            choice = compose(
                Order(
                    seed=digest,
                    limit=limit,
                    wanted=limit if overshoot else effects.tokens,
                    shortest=self.context.answer_tokens[0],
                    longest=self.context.answer_tokens[1],
                    stops=tuple(settings.stop_sequences or ()),
                    tools=self._wishes(effects),
                    schema=self._schema(),
                    reasoning=self._thinking(),
                )
            )
        kept = self.context.kept_by_itself(self.model, self.section, self.prompt)
        usage = kept.model_copy(update={"output": choice.tokens, "reasoning": choice.reasoning})
        return GeminiAnswer(self, choice, usage, digest.hex(), effects.withhold)

    def _thinking(self) -> int:
        """Count the tokens of thought; newer models always think."""
        if "thinking" not in self.section.capabilities:
            return 0
        config = self.request.settings.thinking_config
        if config is not None and config.thinking_budget is not None:
            budget = config.thinking_budget
            return THINKING[None] if budget < 0 else min(budget, THINKING["HIGH"])
        return THINKING[config.thinking_level if config else None]

    def _schema(self) -> Schema | None:
        settings = self.request.settings
        if settings.response_mime_type != "application/json":
            return None
        anything: Schema = {"type": "object"}
        return settings.response_json_schema or settings.response_schema or anything

    def _wishes(self, effects: Effects) -> tuple[ToolWish, ...]:
        calling = self.request.calling
        forced = calling.mode == "ANY"
        count = max(effects.call_tools or 0, 1 if forced else 0)
        tools = {d.name: d.parameters_json_schema or {} for d in self.request.declarations}
        if not tools or not count or calling.mode == "NONE":
            return ()
        names = list(calling.allowed_function_names or tools)
        empty: Schema = {"type": "object", "properties": {}}
        return tuple(ToolWish(name, tools[name] or empty) for name in (names * count)[:count])


@dataclass(frozen=True)
class GeminiAnswer:
    """A composed answer in Google's shapes."""

    pending: GeminiPending
    choice: Choice
    usage: Usage
    digest: str
    withheld: str | None

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give a ``GenerateContentResponse``."""
        parts = [
            written for n, part in enumerate(self.choice.parts) for written in self._part(n, part)
        ]
        document = self._response([] if self.withheld else parts, final=True)
        if not omit_usage:
            document["usageMetadata"] = self._usage(self.usage.output)
        return encoded(document)

    def _response(self, parts: list[dict[str, Any]], *, final: bool) -> dict[str, Any]:
        document: dict[str, Any] = {}
        if self.withheld == "prompt":
            document["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
        else:
            candidate: dict[str, Any] = {"index": 0}
            if parts:
                candidate["content"] = {"parts": parts, "role": "model"}
            if final:
                candidate["finishReason"] = (
                    "SAFETY" if self.withheld else FINISH[self.choice.finish]
                )
            document["candidates"] = [candidate]
        document["modelVersion"] = self.pending.section.served_as or self.pending.model
        document["responseId"] = self.pending.context.request_id
        return document

    def _part(self, number: int, part: Part) -> list[dict[str, Any]]:
        """Give a part whole; a call that the limit cut is left out."""
        if part.kind == "reasoning":
            config = self.pending.request.settings.thinking_config
            shown = config is not None and config.include_thoughts
            return [{"text": part.text, "thought": True}] if shown else []
        if part.kind == "text":
            return [{"text": part.text}] if part.text else []
        try:
            args = json.loads(part.text)
        except ValueError:
            return []
        newer = gemini_rules.is_newer(self.pending.section)
        call: dict[str, Any] = {"name": part.name, "args": args}
        if newer:
            call["id"] = f"{self.digest[:8]}{number}"
        written: dict[str, Any] = {"functionCall": call}
        calls = [n for n, each in enumerate(self.choice.parts) if each.kind == "tool"]
        if newer and number == calls[0]:
            written["thoughtSignature"] = self._signature()
        return [written]

    def _signature(self) -> str:
        return base64.b64encode(gemini_rules.SIGNED + self.digest.encode()).decode()

    def _usage(self, output: int) -> dict[str, Any]:
        """Give the record so far; protocol buffers leave out what is zero."""
        thought = min(output, self.usage.reasoning)
        prompt = self.usage.prompt
        counts = {
            "promptTokenCount": prompt,
            "candidatesTokenCount": output - thought,
            "totalTokenCount": prompt + output,
            "cachedContentTokenCount": self.usage.cached_input,
            "thoughtsTokenCount": thought,
        }
        record: dict[str, Any] = {name: count for name, count in counts.items() if count}
        record["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
        return record

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the events up to the last one; thoughts that are not shown come with the first."""
        if self.withheld:
            return
        sent = unseen = 0
        for number, part in enumerate(self.choice.parts):
            unseen += part.unseen
            pieces = self._pieces(number, part, chunk_tokens)
            if not pieces:
                unseen += len(part.pieces)
            for written, count in pieces:
                sent += count + unseen
                document = self._response([written], final=False)
                document["usageMetadata"] = self._usage(sent)
                yield _frame(document), count + unseen
                unseen = 0

    def _pieces(self, number: int, part: Part, size: int) -> list[tuple[dict[str, Any], int]]:
        whole = self._part(number, part)
        if part.kind == "tool":
            return [(written, len(part.pieces)) for written in whole]
        marks = {"thought": True} if part.kind == "reasoning" else {}
        return [
            ({"text": "".join(group), **marks}, len(group))
            for group in (grouped(part.pieces, size) if whole else ())
        ]

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the event with the reason to finish and the whole usage."""
        document = self._response([], final=True)
        if not omit_usage:
            document["usageMetadata"] = self._usage(self.usage.output)
        return _frame(document)

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the event that tells an error in the middle of a stream."""
        return _frame(google_error(refusal))


def _frame(document: object) -> bytes:
    return b"data: " + encoded(document) + b"\r\n\r\n"

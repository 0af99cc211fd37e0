"""``POST /v1/chat/completions``: requests in, OpenAI's answers and chunks out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import chat_prompt, chat_rules
from .behaviour import Effects
from .chat_request import (
    AllowedToolChoice,
    ChatRequest,
    FunctionTool,
    JsonObjectResponse,
    JsonSchemaResponse,
    NamedCustom,
    NamedFunction,
    ToolName,
)
from .composition import Choice, Order, Part, ToolWish, compose, grouped
from .prompt import Prompt
from .refusals import Refusal, openai_error
from .sheet import ModelSheet, Usage
from .strict import validate
from .structured import Schema
from .surface import Context, data_frame, encoded, find_model

REASONING = {"none": 0, "minimal": 0, "low": 16, "medium": 48, "high": 128}
FINISH = {"stop": "stop", "length": "length", "stop_sequence": "stop", "tool": "tool_calls"}
ANY_OBJECT: Schema = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confident": {"type": "boolean"}},
}


class ChatSurface:
    """The chat completions endpoint."""

    def read(self, document: dict[str, object], context: Context) -> ChatPending:
        """Validate and meter a request; raises Refusal."""
        for name, instead in context.sheet.hosts[context.host].unknown_fields.items():
            if name in document:
                raise Refusal(
                    422,
                    f"Extra inputs are not permitted: '{name}'. Use '{instead}' instead.",
                    param=name,
                    code="extra_forbidden",
                )
        request = validate(ChatRequest, document)
        found = find_model(context, request.model)
        if found is None:
            raise unknown_model(request.model)
        name, model = found
        if model.kind != "chat":
            raise Refusal(
                404,
                "This is not a chat model and thus not supported in the v1/chat/completions "
                "endpoint.",
                param="model",
            )
        chat_rules.check(request, model)
        prompt = chat_prompt.meter(request, model)
        limit = chat_rules.output_limit(request, model, prompt)
        return ChatPending(request, name, model, prompt, limit, context)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give OpenAI's error body."""
        return encoded(openai_error(refusal))


def unknown_model(name: str) -> Refusal:
    """Give the error for a model that the host does not serve."""
    return Refusal(
        404,
        f"The model `{name[:200]}` does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )


@dataclass(frozen=True)
class ChatPending:
    """A metered request. ``limit`` holds for each choice."""

    request: ChatRequest
    model: str
    section: ModelSheet
    prompt: Prompt
    limit: int
    context: Context

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.request.stream)

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""
        return self.prompt.last_user_text

    @property
    def tier(self) -> str:
        """The service tier that is billed; raises Refusal for one that the model has not."""
        tier = self.request.service_tier
        if tier in (None, "auto", "default"):
            return "default"
        if tier not in self.section.service_tiers:
            raise Refusal(
                400,
                f"Invalid service_tier argument: '{tier}' is not offered for this model.",
                param="service_tier",
                code="invalid_value",
            )
        return str(tier)

    def compose(self, effects: Effects) -> ChatAnswer:
        """Compose all choices."""
        digest = self.context.digest(self.model, self.prompt, self.request.seed)
        overshoot = effects.overshoot_tokens
        limit = self.limit + (overshoot or 0)
        wanted = limit if overshoot else effects.tokens
        choices = tuple(
            compose(
                Order(
                    seed=digest + index.to_bytes(2, "big") if index else digest,
                    limit=limit,
                    wanted=wanted,
                    stops=self.request.stops,
                    tools=_wishes(self.request, effects),
                    schema=_schema(self.request),
                    reasoning=self._reasoning(),
                )
            )
            for index in range(self.request.n or 1)
        )
        cached = 0
        if self.section.usd_per_million.cached_input is not None:
            key = self.request.prompt_cache_key or ""
            account = (self.context.credential, self.context.host, self.model, key)
            cached = self.context.cache.automatic(account, self.prompt)
        usage = Usage(
            input=self.prompt.total - cached,
            cached_input=cached,
            output=sum(choice.tokens for choice in choices),
            reasoning=sum(choice.reasoning for choice in choices),
        )
        return ChatAnswer(self, choices, usage, digest.hex())

    def _reasoning(self) -> int:
        effort = self.request.reasoning_effort or self.section.default_effort
        return REASONING[effort] if effort and self.section.reasoning_efforts else 0


def _schema(request: ChatRequest) -> Schema | None:
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaResponse):
        return wanted.json_schema.schema_
    return ANY_OBJECT if isinstance(wanted, JsonObjectResponse) else None


def _wishes(request: ChatRequest, effects: Effects) -> tuple[ToolWish, ...]:
    """Give the tools that the answer must call, by ``tool_choice`` or by a directive."""
    tools = {}
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            tools[tool.function.name] = tool.function.parameters or ANY_OBJECT
        else:
            tools[tool.custom.name] = None
    for function in request.functions or ():
        tools[function.name] = function.parameters or ANY_OBJECT
    called = _forced(request)
    count = max(effects.call_tools or 0, 1 if called else 0)
    if not tools or not count or request.tool_choice == "none" or request.function_call == "none":
        return ()
    names = called or list(tools)
    if request.parallel_tool_calls is False or request.functions:
        count = 1
    return tuple(ToolWish(name, tools[name]) for name in (names * count)[:count])


def _forced(request: ChatRequest) -> list[str]:
    choice = request.tool_choice
    if choice == "required":
        return chat_rules.tool_names(request)
    if isinstance(choice, NamedFunction):
        return [choice.function.name]
    if isinstance(choice, NamedCustom):
        return [choice.custom.name]
    if isinstance(choice, AllowedToolChoice) and choice.allowed_tools.mode == "required":
        return [chat_rules.allowed_name(tool) for tool in choice.allowed_tools.tools]
    if isinstance(request.function_call, ToolName):
        return [request.function_call.name]
    return []


@dataclass(frozen=True)
class ChatAnswer:
    """A composed answer in OpenAI's shapes."""

    pending: ChatPending
    choices: tuple[Choice, ...]
    usage: Usage
    digest: str

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give a ``chat.completion``."""
        document = self._head("chat.completion")
        document["choices"] = [self._choice(n, c) for n, c in enumerate(self.choices)]
        if not omit_usage:
            document["usage"] = self._usage()
        return encoded(document)

    def _head(self, kind: str) -> dict[str, object]:
        context = self.pending.context
        return {
            "id": f"chatcmpl-{context.request_id.removeprefix('req_')}",
            "object": kind,
            "created": context.created,
            "model": self.pending.section.served_as or self.pending.model,
            "service_tier": self.pending.tier,
            "system_fingerprint": f"fp_{self.digest[:10]}",
        }

    def _finish(self, choice: Choice) -> str:
        if choice.finish == "tool" and self.pending.request.functions:
            return "function_call"
        return FINISH[choice.finish]

    def _choice(self, index: int, choice: Choice) -> dict[str, object]:
        text = choice.text()
        calls = [part for part in choice.parts if part.kind == "tool"]
        message: dict[str, object] = {
            "role": "assistant",
            "content": None if calls and not text else text,
            "refusal": None,
            "annotations": [],
        }
        if calls and self.pending.request.functions:
            message["function_call"] = {"name": calls[0].name, "arguments": calls[0].text}
        elif calls:
            message["tool_calls"] = [self._call(index, n, p) for n, p in enumerate(calls)]
        logprobs = _logprobs(choice, self.pending.request)
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self._finish(choice),
        }

    def _is_custom(self, name: str) -> bool:
        return any(
            not isinstance(tool, FunctionTool) and tool.custom.name == name
            for tool in self.pending.request.tools or ()
        )

    def _call(self, index: int, number: int, part: Part) -> dict[str, object]:
        identity = f"call_{self.digest[:20]}{index:02d}{number:02d}"
        if self._is_custom(part.name):
            custom = {"name": part.name, "input": part.text}
            return {"id": identity, "type": "custom", "custom": custom}
        function = {"name": part.name, "arguments": part.text}
        return {"id": identity, "type": "function", "function": function}

    def _usage(self) -> dict[str, object]:
        usage = self.usage
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.output,
            "total_tokens": usage.prompt + usage.output,
            "prompt_tokens_details": {"cached_tokens": usage.cached_input, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the chunks up to those that tell why each choice ended."""
        for index, choice in enumerate(self.choices):
            delta = {"role": "assistant", "content": "", "refusal": None}
            yield self._chunk(index, delta), choice.reasoning
            number = 0
            for part in choice.parts:
                if part.kind == "text":
                    for text, count in grouped(part.pieces, chunk_tokens):
                        yield self._chunk(index, {"content": text}, part_text=text), count
                elif part.kind == "tool":
                    yield from self._call_chunks(index, number, part, chunk_tokens)
                    number += 1

    def _call_chunks(
        self, index: int, number: int, part: Part, chunk_tokens: int
    ) -> Iterator[tuple[bytes, int]]:
        legacy = self.pending.request.functions is not None
        call = self._call(index, number, part)
        kind = str(call["type"])
        field = "input" if kind == "custom" else "arguments"
        first = {"function_call": {"name": part.name, "arguments": ""}}
        if not legacy:
            opened = {**call, "index": number, kind: {"name": part.name, field: ""}}
            yield self._chunk(index, {"tool_calls": [opened]}), part.unseen
        else:
            yield self._chunk(index, first), part.unseen
        for text, count in grouped(part.pieces, chunk_tokens):
            delta = {"tool_calls": [{"index": number, kind: {field: text}}]}
            fragment = {"function_call": {"arguments": text}}
            yield self._chunk(index, fragment if legacy else delta), count

    def _chunk(
        self,
        index: int,
        delta: dict[str, object] | dict[str, list[dict[str, object]]] | dict[str, str] | object,
        *,
        finish: str | None = None,
        part_text: str | None = None,
    ) -> bytes:
        document = self._head("chat.completion.chunk")
        logprobs = None
        if self.pending.request.logprobs and part_text is not None:
            logprobs = {"content": [_logprob(part_text, self.pending.request)], "refusal": None}
        document["choices"] = [
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        ]
        if self.pending.request.wants_usage:
            document["usage"] = None
        return data_frame(document)

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the last chunks: why each choice ended, usage where it was asked for, ``[DONE]``."""
        frames = [
            self._chunk(index, {}, finish=self._finish(choice))
            for index, choice in enumerate(self.choices)
        ]
        host = self.pending.context.sheet.hosts[self.pending.context.host]
        asked = self.pending.request.wants_usage or host.stream_usage == "always"
        if asked and not omit_usage:
            document = self._head("chat.completion.chunk")
            document |= {"choices": [], "usage": self._usage()}
            frames.append(data_frame(document))
        return b"".join([*frames, b"data: [DONE]\n\n"])

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the frame that tells an error in the middle of a stream."""
        return data_frame(openai_error(refusal))


def _logprob(text: str, request: ChatRequest) -> dict[str, object]:
    entry = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    others = [
        {"token": f" option{n}", "logprob": -2.0 - n, "bytes": list(f" option{n}".encode())}
        for n in range(max(0, (request.top_logprobs or 0) - 1))
    ]
    return {**entry, "top_logprobs": [entry, *others] if request.top_logprobs else []}


def _logprobs(choice: Choice, request: ChatRequest) -> dict[str, object] | None:
    if not request.logprobs:
        return None
    pieces = [piece for part in choice.parts if part.kind == "text" for piece in part.pieces]
    return {"content": [_logprob(piece, request) for piece in pieces], "refusal": None}

"""Chat completions as OpenAI writes them, whole and in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .chat_request import ChatRequest, FunctionTool
from .composition import Choice, Part, grouped
from .refusals import Refusal, openai_error
from .sheet import Usage
from .surface import Context, data_frame, encoded

FINISH = {"stop": "stop", "length": "length", "stop_sequence": "stop", "tool": "tool_calls"}


@dataclass(frozen=True)
class ChatAnswer:
    """A composed answer in OpenAI's shapes; ``model`` is the name that the answer gives."""

    request: ChatRequest
    model: str
    tier: str
    context: Context
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
        return {
            "id": f"chatcmpl-{self.context.request_id.removeprefix('req_')}",
            "object": kind,
            "created": self.context.created,
            "model": self.model,
            "service_tier": self.tier,
            "system_fingerprint": f"fp_{self.digest[:10]}",
        }

    def _finish(self, choice: Choice) -> str:
        if choice.finish == "tool" and self.request.functions:
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
        if calls and self.request.functions:
            message["function_call"] = {"name": calls[0].name, "arguments": calls[0].text}
        elif calls:
            message["tool_calls"] = [self._call(index, n, p) for n, p in enumerate(calls)]
        logprobs = _logprobs(choice, self.request)
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self._finish(choice),
        }

    def _is_custom(self, name: str) -> bool:
        return any(
            not isinstance(tool, FunctionTool) and tool.custom.name == name
            for tool in self.request.tools or ()
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
        """Give the chunks up to those that tell why each choice ended, choices interleaved."""
        running = [self._parts(n, choice, chunk_tokens) for n, choice in enumerate(self.choices)]
        while running:
            for frames in tuple(running):
                frame = next(frames, None)
                if frame is None:
                    running.remove(frames)
                else:
                    yield frame

    def _parts(self, index: int, choice: Choice, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        opening = {"role": "assistant", "content": "", "refusal": None}
        yield self._chunk(index, opening), choice.reasoning
        number = 0
        for part in choice.parts:
            if part.kind == "text":
                for group in grouped(part.pieces, chunk_tokens):
                    delta = {"content": "".join(group)}
                    yield self._chunk(index, delta, pieces=group), len(group)
            elif part.kind == "tool":
                yield from self._call_chunks(index, number, part, chunk_tokens)
                number += 1

    def _call_chunks(
        self, index: int, number: int, part: Part, chunk_tokens: int
    ) -> Iterator[tuple[bytes, int]]:
        legacy = self.request.functions is not None
        call = self._call(index, number, part)
        kind = str(call["type"])
        field = "input" if kind == "custom" else "arguments"
        first = {"function_call": {"name": part.name, "arguments": ""}}
        if not legacy:
            opened = {**call, "index": number, kind: {"name": part.name, field: ""}}
            yield self._chunk(index, {"tool_calls": [opened]}), part.unseen
        else:
            yield self._chunk(index, first), part.unseen
        for group in grouped(part.pieces, chunk_tokens):
            text = "".join(group)
            delta = {"tool_calls": [{"index": number, kind: {field: text}}]}
            fragment = {"function_call": {"arguments": text}}
            yield self._chunk(index, fragment if legacy else delta), len(group)

    def _chunk(
        self,
        index: int,
        delta: object,
        *,
        finish: str | None = None,
        pieces: tuple[str, ...] = (),
        with_usage: bool = False,
    ) -> bytes:
        document = self._head("chat.completion.chunk")
        logprobs = None
        if self.request.logprobs and pieces:
            entries = [_logprob(piece, self.request) for piece in pieces]
            logprobs = {"content": entries, "refusal": None}
        document["choices"] = [
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        ]
        if with_usage:
            document["usage"] = self._usage()
        elif self.request.wants_usage:
            document["usage"] = None
        return data_frame(document)

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the last chunks: why each choice ended, usage where it was asked for, ``[DONE]``."""
        host = self.context.sheet.hosts[self.context.host]
        always = host.stream_usage == "always"
        last = len(self.choices) - 1
        frames = [
            self._chunk(
                index,
                {},
                finish=self._finish(choice),
                with_usage=always and index == last and not omit_usage,
            )
            for index, choice in enumerate(self.choices)
        ]
        if self.request.wants_usage and not always and not omit_usage:
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

"""Clients behind one interface: what an application says by an official SDK, and what it hears.

One speaker for each client format, so that each case of translation is written once.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
LADDER: dict[str, Any] = {
    "type": "object",
    "properties": {"rungs": {"type": "integer"}, "issuer": {"type": "string"}},
    "required": ["rungs", "issuer"],
    "additionalProperties": False,
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@dataclass
class Call:
    """A tool call."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass
class Heard:
    """An answer as an application hears it. `finish`: stop, length, tools or another word."""

    text: str
    calls: list[Call]
    finish: str
    input_tokens: int
    output_tokens: int
    model: str
    run_id: str
    thought: bool = False


@dataclass
class Ask:
    """One request. `results` answer the calls of an answer before, by call id."""

    prompt: str = "What is a bond ladder?"
    system: str = ""
    limit: int = 500
    tools: bool = False
    choice: str = ""
    image: bool = False
    schema: bool = False
    effort: str = ""
    stop: str = ""
    before: Heard | None = None
    results: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Speaker(Protocol):
    """An official client. `bad_request` is what it raises for HTTP 400, with the error's `body`."""

    bad_request: type[Exception]

    def say(self, model: str, ask: Ask) -> Heard:
        """Ask and hear the whole answer."""

    def stream(self, model: str, ask: Ask) -> Heard:
        """Ask and hear it piece by piece, put together."""


class PythonSpeaker(Speaker, Protocol):
    """One whose words and hearing serve clients of other languages too."""

    def request(self, model: str, ask: Ask) -> dict[str, Any]:
        """What is sent."""

    def heard(self, answer: Any, run_id: str) -> Heard:
        """What an answer, as the SDK's own type, says."""


_OPENAI_FINISH = {"tool_calls": "tools"}
_ANTHROPIC_FINISH = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}


@dataclass
class OpenaiSpeaker:
    """OpenAI's client, chat completions."""

    client: openai.OpenAI
    bad_request: type[Exception] = openai.BadRequestError

    def say(self, model: str, ask: Ask) -> Heard:
        raw = self.client.chat.completions.with_raw_response.create(**self.request(model, ask))
        return self.heard(raw.parse(), raw.headers.get("x-signalbox-run-id", ""))

    def heard(self, answer: Any, run_id: str) -> Heard:
        choice = answer.choices[0]
        assert answer.usage is not None
        calls = [
            Call(call.id, call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or ()
        ]
        return Heard(
            text=choice.message.content or "",
            calls=calls,
            finish=_OPENAI_FINISH.get(choice.finish_reason, choice.finish_reason),
            input_tokens=answer.usage.prompt_tokens,
            output_tokens=answer.usage.completion_tokens,
            model=answer.model,
            run_id=run_id,
        )

    def stream(self, model: str, ask: Ask) -> Heard:
        request = self.request(model, ask) | {"stream_options": {"include_usage": True}}
        pieces: list[str] = []
        calls: dict[int, list[str]] = {}
        finish, usage, named = "", None, ""
        raw = self.client.chat.completions.with_raw_response.create(**request, stream=True)
        for chunk in raw.parse():
            named = chunk.model
            usage = chunk.usage or usage
            for choice in chunk.choices:
                pieces.append(choice.delta.content or "")
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or ():
                    kept = calls.setdefault(call.index, ["", "", ""])
                    kept[0] = kept[0] or call.id or ""
                    kept[1] += (call.function.name or "") if call.function else ""
                    kept[2] += (call.function.arguments or "") if call.function else ""
        assert usage is not None
        return Heard(
            text="".join(pieces),
            calls=[Call(id_, name, json.loads(text)) for id_, name, text in calls.values()],
            finish=_OPENAI_FINISH.get(finish, finish),
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            model=named,
            run_id=raw.headers.get("x-signalbox-run-id", ""),
        )

    def request(self, model: str, ask: Ask) -> dict[str, Any]:
        messages: list[Any] = []
        if ask.system:
            messages.append({"role": "system", "content": ask.system})
        content: Any = ask.prompt
        if ask.image:
            url = f"data:image/png;base64,{PIXEL}"
            content = [
                {"type": "text", "text": ask.prompt},
                {"type": "image_url", "image_url": {"url": url}},
            ]
        messages.append({"role": "user", "content": content})
        messages += self._history(ask)
        request: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "max_completion_tokens": ask.limit,
        }
        if ask.tools:
            function = {"name": "weather", "description": "Somewhere", "parameters": WEATHER}
            request["tools"] = [{"type": "function", "function": function}]
        if ask.choice == "tool":
            request["tool_choice"] = {"type": "function", "function": {"name": "weather"}}
        elif ask.choice:
            request["tool_choice"] = ask.choice
        if ask.schema:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "ladder", "schema": LADDER, "strict": True},
            }
        if ask.effort:
            request["reasoning_effort"] = ask.effort
        if ask.stop:
            request["stop"] = [ask.stop]
        return request | ask.extra

    def _history(self, ask: Ask) -> Iterator[Any]:
        if ask.before is None:
            return
        yield {
            "role": "assistant",
            "content": ask.before.text or None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for call in ask.before.calls
            ],
        }
        for id_, result in ask.results.items():
            yield {"role": "tool", "tool_call_id": id_, "content": result}


@dataclass
class ResponsesSpeaker:
    """OpenAI's client, responses."""

    client: openai.OpenAI
    bad_request: type[Exception] = openai.BadRequestError

    def say(self, model: str, ask: Ask) -> Heard:
        raw = self.client.responses.with_raw_response.create(**self.request(model, ask))
        return self.heard(raw.parse(), raw.headers.get("x-signalbox-run-id", ""))

    def stream(self, model: str, ask: Ask) -> Heard:
        raw = self.client.responses.with_raw_response.create(
            **self.request(model, ask), stream=True
        )
        pieces: list[str] = []
        answer: Any = None
        for number, event in enumerate(raw.parse()):
            assert event.sequence_number == number
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
            elif event.type in ("response.completed", "response.incomplete"):
                answer = event.response
        assert answer is not None
        heard = self.heard(answer, raw.headers.get("x-signalbox-run-id", ""))
        assert heard.text == "".join(pieces)
        return heard

    def heard(self, answer: Any, run_id: str) -> Heard:
        assert answer.usage is not None
        calls = [
            Call(item.call_id, item.name, json.loads(item.arguments))
            for item in answer.output
            if item.type == "function_call"
        ]
        finish = "tools" if calls else "stop"
        if answer.status == "incomplete":
            cut = answer.incomplete_details.reason
            finish = "length" if cut == "max_output_tokens" else cut
        return Heard(
            text=answer.output_text,
            calls=calls,
            finish=finish,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            model=answer.model,
            run_id=run_id,
            thought=any(item.type == "reasoning" and item.summary for item in answer.output),
        )

    def request(self, model: str, ask: Ask) -> dict[str, Any]:
        content: list[Any] = [{"type": "input_text", "text": ask.prompt}]
        if ask.image:
            url = f"data:image/png;base64,{PIXEL}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        items: list[Any] = [{"role": "user", "content": content}, *self._history(ask)]
        request: dict[str, Any] = {"model": model, "input": items, "max_output_tokens": ask.limit}
        if ask.system:
            request["instructions"] = ask.system
        if ask.tools:
            described = {"name": "weather", "description": "Somewhere", "strict": True}
            request["tools"] = [{"type": "function", **described, "parameters": WEATHER}]
        if ask.choice == "tool":
            request["tool_choice"] = {"type": "function", "name": "weather"}
        elif ask.choice:
            request["tool_choice"] = ask.choice
        if ask.schema:
            form = {"type": "json_schema", "name": "ladder", "schema": LADDER, "strict": True}
            request["text"] = {"format": form}
        if ask.effort:
            request["reasoning"] = {"effort": ask.effort, "summary": "auto"}
        return request | ask.extra

    def _history(self, ask: Ask) -> Iterator[Any]:
        if ask.before is None:
            return
        if ask.before.text:
            yield {"role": "assistant", "content": ask.before.text}
        for call in ask.before.calls:
            arguments = json.dumps(call.arguments)
            named = {"call_id": call.id, "name": call.name, "arguments": arguments}
            yield {"type": "function_call", **named}
        for id_, result in ask.results.items():
            yield {"type": "function_call_output", "call_id": id_, "output": result}


@dataclass
class AnthropicSpeaker:
    """Anthropic's client, messages."""

    client: anthropic.Anthropic
    bad_request: type[Exception] = anthropic.BadRequestError

    def say(self, model: str, ask: Ask) -> Heard:
        raw = self.client.messages.with_raw_response.create(**self.request(model, ask))
        return self.heard(raw.parse(), raw.headers.get("x-signalbox-run-id", ""))

    def stream(self, model: str, ask: Ask) -> Heard:
        with self.client.messages.stream(**self.request(model, ask)) as stream:
            for _ in stream:
                pass
            run_id = stream.response.headers.get("x-signalbox-run-id", "")
            return self.heard(stream.get_final_message(), run_id)

    def heard(self, answer: Any, run_id: str) -> Heard:
        return Heard(
            text="".join(block.text for block in answer.content if block.type == "text"),
            calls=[
                Call(block.id, block.name, block.input)
                for block in answer.content
                if block.type == "tool_use"
            ],
            finish=_ANTHROPIC_FINISH.get(answer.stop_reason, answer.stop_reason),
            input_tokens=answer.usage.input_tokens
            + (answer.usage.cache_read_input_tokens or 0)
            + (answer.usage.cache_creation_input_tokens or 0),
            output_tokens=answer.usage.output_tokens,
            model=answer.model,
            run_id=run_id,
            thought=any(block.type == "thinking" for block in answer.content),
        )

    def request(self, model: str, ask: Ask) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": ask.prompt}]
        if ask.image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.append({"type": "image", "source": source})
        messages: list[Any] = [{"role": "user", "content": content}, *self._history(ask)]
        request: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": ask.limit}
        if ask.system:
            request["system"] = ask.system
        if ask.tools:
            request["tools"] = [
                {"name": "weather", "description": "Somewhere", "input_schema": WEATHER}
            ]
        if ask.choice:
            kinds = {"required": {"type": "any"}, "tool": {"type": "tool", "name": "weather"}}
            request["tool_choice"] = kinds.get(ask.choice, {"type": ask.choice})
        if ask.schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": LADDER}}
        if ask.effort:
            budget = {"low": 1024, "medium": 8_000}[ask.effort]
            request["thinking"] = {"type": "enabled", "budget_tokens": budget}
            request["max_tokens"] = budget + ask.limit
        if ask.stop:
            request["stop_sequences"] = [ask.stop]
        return request | ask.extra

    def _history(self, ask: Ask) -> Iterator[Any]:
        if ask.before is None:
            return
        said: list[Any] = [{"type": "text", "text": ask.before.text}] if ask.before.text else []
        calls = [
            {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            for call in ask.before.calls
        ]
        yield {"role": "assistant", "content": said + calls}
        results = [
            {"type": "tool_result", "tool_use_id": id_, "content": result}
            for id_, result in ask.results.items()
        ]
        yield {"role": "user", "content": results}

"""Reads the messages of a chat completion: what was said, by whom, and what tools answered.

System and developer messages lead, in their order, wherever they stood: no other vendor knows an
order from the operator in the middle of a conversation, and moved into a user's turn it would lose
its authority. OpenAI's own order of things is kept everywhere else.
"""

from collections.abc import Iterator
from typing import Any, Final

from signalbox_proxy.surfaces import chat_types as types
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    CacheLifetime,
    Image,
    Part,
    Refused,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from signalbox_proxy.translation.turns import Turns

NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}}
"""The schema of a function that names none, as OpenAI reads it."""

_ONLY: Final = {
    "refusal": ("assistant",),
    "reasoning": ("assistant",),
    "reasoning_content": ("assistant",),
    "tool_calls": ("assistant",),
    "function_call": ("assistant",),
    "tool_call_id": ("tool",),
    "name": ("tool", "function"),
}
"""Who may say what; a participant's name is a distinction that other vendors do not make."""


class ChatMessages:
    """Reads messages one after the other."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self._turns = Turns()
        self._names: dict[str, str] = {}
        self._unanswered: dict[str, str] = {}
        self._calls_of: dict[str, list[str]] = {}

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, in order."""
        return self._turns.whole()

    def take(self, message: types.Message, path: str) -> None:
        """Take the next message. Raises `Untranslatable` naming what only OpenAI understands."""
        for field, roles in _ONLY.items():
            if getattr(message, field) and message.role not in roles:
                raise Untranslatable(
                    f"{path}.{field}", f"no other vendor has this of the role {message.role}"
                )
        if message.role in ("system", "developer"):
            texts = (_text_only(part, at) for part, at in _contents(message, path))
            self.system += [text for text in texts if text.text]
        elif message.role == "user":
            self._turns.add("user", [_said(part, at) for part, at in _contents(message, path)])
        elif message.role == "assistant":
            self._turns.add("assistant", self._assistant(message, path))
        else:
            self._turns.add("user", [self._result(message, path)])

    def _assistant(self, message: types.Message, path: str) -> Iterator[Part]:
        thought = message.reasoning_content or message.reasoning
        if thought:
            yield Thinking(text=thought, origin="openai")
        for part, at in _contents(message, path):
            if isinstance(part, types.RefusalPart):
                yield Refused(part.refusal)
            else:
                yield _text_only(part, at)
        if message.refusal:
            yield Refused(message.refusal)
        for index, call in enumerate(message.tool_calls or ()):
            if isinstance(call, types.CustomCall):
                raise custom_tool(f"{path}.tool_calls[{index}]")
            if call.googles_signature:
                yield Thinking(signature=call.googles_signature, origin="gemini")
            yield self._call(call.id, call.function)
        if message.function_call is not None:
            yield self._call(f"call_{len(self._names)}", message.function_call)

    def _call(self, call_id: str, called: types.CalledFunction) -> ToolCall:
        call = ToolCall(call_id, called.name, called.arguments or "{}")
        self._names[call_id] = called.name
        self._unanswered[call_id] = called.name
        self._calls_of.setdefault(called.name, []).append(call_id)
        return call

    def _result(self, message: types.Message, path: str) -> ToolResult:
        """What a tool gave. An old function's result answers the last call of its name."""
        if message.role == "tool":
            call_id, field = message.tool_call_id or "", f"{path}.tool_call_id"
        else:
            call_id, field = self._last_call_of(message.name or ""), f"{path}.name"
        if call_id not in self._names:
            raise Untranslatable(field, "no message before it has this call")
        self._unanswered.pop(call_id, None)
        parts = [_said(part, at) for part, at in _contents(message, path)]
        return ToolResult(
            call_id,
            self._names[call_id],
            tuple(part for part in parts if isinstance(part, Image) or part.text),
        )

    def _last_call_of(self, name: str) -> str:
        """The id of the last call of a function that has no result yet, "" where there is none."""
        calls = self._calls_of.get(name, [])
        while calls and self._unanswered.get(calls[-1]) != name:
            calls.pop()
        return calls[-1] if calls else ""


def custom_tool(field: str) -> Untranslatable:
    """Why a custom tool stays with OpenAI."""
    return Untranslatable(field, "a custom tool takes free text, which only OpenAI's models give")


def image_of(url: str, field: str, detail: str = "", cache: CacheLifetime | None = None) -> Image:
    """An image from a data URL (RFC 2397, base64) or a remote one."""
    if url.startswith(("https://", "http://")):
        return Image(url=url, detail=detail, cache=cache)
    head, comma, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not comma or not head.startswith("data:") or not head.endswith(";base64") or not data:
        raise Untranslatable(field, "it is neither an https URL nor a base64 data URL")
    return Image(media_type=media_type, data=data, detail=detail, cache=cache)


def lifetime_of(mark: types.CacheBreakpoint | None) -> CacheLifetime | None:
    """How long a prompt is kept that ends at this mark, as the neutral form knows it."""
    if mark is None:
        return None
    return "1h" if mark.ttl == "12h" else "5m"


def _contents(message: types.Message, path: str) -> Iterator[tuple[types.ContentPart, str]]:
    if isinstance(message.content, str):
        yield types.TextPart(text=message.content), f"{path}.content"
    for index, part in enumerate(message.content if isinstance(message.content, list) else ()):
        yield part, f"{path}.content[{index}]"


def _text_only(part: types.ContentPart, path: str) -> Text:
    if not isinstance(part, types.TextPart):
        raise Untranslatable(path, "only text can stand here with other vendors")
    return Text(part.text, cache=lifetime_of(part.prompt_cache_breakpoint))


def _said(part: types.ContentPart, path: str) -> Text | Image:
    if not isinstance(part, types.ImagePart):
        return _text_only(part, path)
    detail = part.image_url.detail or ""
    return image_of(
        part.image_url.url,
        f"{path}.image_url.url",
        "" if detail == "auto" else detail,
        lifetime_of(part.prompt_cache_breakpoint),
    )

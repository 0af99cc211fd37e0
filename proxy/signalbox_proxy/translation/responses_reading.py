"""Reads the items of a responses request: what was said, called, answered and thought.

Instructions and the messages of system and developer lead, as in `openai_messages`. Reasoning that
the proxy handed out carries its vendor's signature in `encrypted_content` and goes back to that
vendor; OpenAI's own means something to OpenAI's responses only.
"""

from collections.abc import Iterator
from typing import Any, Final

from signalbox_proxy.surfaces import responses_items as items
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    Image,
    Refused,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from signalbox_proxy.translation.openai_messages import custom_tool, image_of, lifetime_of
from signalbox_proxy.translation.signatures import is_sealed, seal, unseal
from signalbox_proxy.translation.turns import Turns

OWN: Final = "responses"
"""Origin of OpenAI's own encrypted reasoning: no provider format, so that none gets it."""

_SIGNED, _REDACTED = "s", "r"


def sealed_thinking(origin: str, signature: str, redacted: str) -> str:
    """The `encrypted_content` of reasoning that another vendor signed or encrypted."""
    if redacted:
        return seal(origin, f"{_REDACTED}.{redacted}")
    return seal(origin, f"{_SIGNED}.{signature}")


class ResponseItems:
    """Reads items one after the other."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self._turns = Turns()
        self._names: dict[str, str] = {}

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, in order."""
        return self._turns.whole()

    def take(self, item: items.Item, path: str) -> None:
        """Take the next item. Raises `Untranslatable` naming what only OpenAI understands."""
        if isinstance(item, items.Message):
            self._message(item, path)
        elif isinstance(item, items.FunctionCall):
            self._names[item.call_id] = item.name
            call = ToolCall(item.call_id, item.name, item.arguments or "{}")
            self._turns.add("assistant", [call])
        elif isinstance(item, items.FunctionCallOutput):
            if item.call_id not in self._names:
                raise Untranslatable(f"{path}.call_id", "no item before it has this call")
            said = [_said(part, at) for part, at in _contents(item.output, f"{path}.output")]
            parts = tuple(part for part in said if isinstance(part, Image) or part.text)
            result = ToolResult(item.call_id, self._names[item.call_id], parts)
            self._turns.add("user", [result])
        elif isinstance(item, items.ReasoningItem):
            self._turns.add("assistant", [_thinking(item)])
        else:
            raise custom_tool(path)

    def _message(self, message: items.Message, path: str) -> None:
        contents = _contents(message.content, f"{path}.content")
        if message.role == "user":
            self._turns.add("user", [_said(part, at) for part, at in contents])
        elif message.role == "assistant":
            answered = [
                Refused(part.refusal)
                if isinstance(part, items.OutputRefusal)
                else _text_only(part, at)
                for part, at in contents
            ]
            self._turns.add("assistant", answered)
        else:
            texts = (_text_only(part, at) for part, at in contents)
            self.system += [text for text in texts if text.text]


def _thinking(item: items.ReasoningItem) -> Thinking:
    text = "\n\n".join(part.text for part in item.summary)
    if item.content:
        text = "".join(part.text for part in item.content)
    encrypted = item.encrypted_content or ""
    if not is_sealed(encrypted):
        return Thinking(text=text, redacted=encrypted, origin=OWN)
    origin, proof = unseal(encrypted, OWN)
    kind, _, value = proof.partition(".")
    if kind == _REDACTED:
        return Thinking(redacted=value, origin=origin)
    return Thinking(text=text, signature=value, origin=origin)


def _contents(content: Any, path: str) -> Iterator[tuple[items.ContentPart, str]]:
    if isinstance(content, str):
        yield items.InputText(text=content), path
        return
    for index, part in enumerate(content):
        yield part, f"{path}[{index}]"


def _text_only(part: items.ContentPart, path: str) -> Text:
    if isinstance(part, items.OutputText):
        return Text(part.text)
    if not isinstance(part, items.InputText):
        raise Untranslatable(path, "only text can stand here with other vendors")
    return Text(part.text, cache=lifetime_of(part.prompt_cache_breakpoint))


def _said(part: items.ContentPart, path: str) -> Text | Image:
    if not isinstance(part, items.InputImage):
        return _text_only(part, path)
    detail = "" if part.detail in (None, "auto") else str(part.detail)
    mark = lifetime_of(part.prompt_cache_breakpoint)
    return image_of(part.image_url, f"{path}.image_url", detail, mark)

"""Reads answers of chat completions, whole and streamed, for charge and evaluation."""

from typing import Any, Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import CacheWrite
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.streams import BaseStreamReader, TextKeeper
from signalbox_proxy.surfaces.usage import openai_usage
from signalbox_proxy.unreadable import UNREADABLE

_WHOLE: Final = frozenset({"stop", "tool_calls", "function_call"})
_MAX_CHOICES: Final = 128


class _Delta(msgspec.Struct):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None

    def says(self) -> bool:
        """Whether there is anything in it that costs output."""
        said = self.content or self.tool_calls or self.function_call
        return bool(said or self.reasoning_content or self.reasoning or self.refusal)


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Any = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Any = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


class _Choices:
    """What the choices of one answer said, whole or chunk by chunk."""

    def __init__(self) -> None:
        self.texts: dict[int, TextKeeper] = {}
        self.finishes: dict[int, str] = {}
        self.has_tool_calls = False

    def have_finished(self) -> bool:
        """Whether every choice that began has told why it ended."""
        return bool(self.texts) and self.finishes.keys() == self.texts.keys()

    def take(self, choice: _Choice) -> None:
        """Add one choice, or one piece of it."""
        if not 0 <= choice.index < _MAX_CHOICES:
            return
        keeper = self.texts.get(choice.index)
        if keeper is None:
            keeper = self.texts[choice.index] = TextKeeper()
        piece = choice.delta or choice.message
        if piece is not None:
            if isinstance(piece.content, str):
                keeper.add(piece.content)
            if piece.tool_calls or piece.function_call:
                self.has_tool_calls = True
        if isinstance(choice.finish_reason, str):
            self.finishes[choice.index] = choice.finish_reason[:64]

    def write(self, facts: AnswerFacts) -> None:
        """Write what is known into the facts."""
        keepers = [self.texts[index] for index in sorted(self.texts)]
        texts = [keeper.text() for keeper in keepers]
        facts.text = texts[0] if texts else ""
        facts.more_texts = tuple(texts[1:])
        facts.truncated = True in [keeper.truncated for keeper in keepers]
        facts.items = len(keepers)
        facts.has_tool_calls = self.has_tool_calls
        finishes = [self.finishes.get(index, "") for index in sorted(self.texts)]
        cut_off = [finish for finish in finishes if finish not in _WHOLE]
        facts.finish = (cut_off or finishes or [""])[0]
        facts.complete = facts.ended and bool(finishes) and not cut_off


def read_chat_answer(body: bytes, cache_write: CacheWrite) -> AnswerFacts:
    """Read a whole answer; whatever is wrong with its form is told in `error`."""
    facts = AnswerFacts()
    try:
        answer = _DECODER.decode(body)
    except UNREADABLE:
        facts.error = "the answer is not a chat completion"
        return facts
    facts.ended = bool(answer.choices)
    facts.usage = openai_usage(answer.usage, cache_write)
    choices = _Choices()
    for choice in answer.choices:
        choices.take(choice)
    choices.write(facts)
    if not answer.choices:
        facts.error = "the answer has no choices"
    return facts


class ChatStreamReader(BaseStreamReader):
    """Reads a stream of `chat.completion.chunk` events up to `data: [DONE]`."""

    def __init__(self, *, wants_usage: bool, cache_write: CacheWrite) -> None:
        super().__init__()
        self._wants_usage = wants_usage
        self._cache_write = cache_write
        self._choices = _Choices()
        self._usage: Usage | None = None
        self._usage_is_apart = False

    def _read(self, event: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            self._facts.ended = True
            return event
        try:
            chunk = _DECODER.decode(data)
        except UNREADABLE:
            return self._malformed(event)
        for choice in chunk.choices:
            self._choices.take(choice)
            piece = choice.delta or choice.message
            if piece is not None and piece.says():
                self._usage = None  # a record from before cannot count what came after it
        if chunk.error is not None:
            return self._error_event(event, chunk.error)
        if chunk.usage is not None:
            self._usage = openai_usage(chunk.usage, self._cache_write)
            self._usage_is_apart = not chunk.choices
            if not self._wants_usage and not chunk.choices:
                return b""
        return event

    def _write_facts(self) -> None:
        # Some servers repeat a running count, in every chunk or beside them; a cut stream must not
        # settle at it.
        is_final = self._usage_is_apart and self._choices.have_finished()
        self._facts.usage = self._usage if is_final or self._facts.ended else None
        self._choices.write(self._facts)

"""What charge and evaluation need of an answer, from its neutral form.

Made from the same neutral answer or events that the client is told by, so that what is charged
and what is said come from one reading.
"""

from typing import Final

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.streams import TextKeeper
from signalbox_proxy.translation.answer import (
    Answer,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    PartBegins,
    PartGrows,
)
from signalbox_proxy.translation.conversation import Text, ToolCall

_WHOLE: Final[frozenset[FinishReason]] = frozenset({"stop", "tool_calls", "stop_sequence"})
_MAX_FINISH: Final = 64


def facts_of(answer: Answer) -> AnswerFacts:
    """The facts of a whole answer."""
    keeper = TextKeeper()
    for part in answer.parts:
        if isinstance(part, Text):
            keeper.add(part.text)
    return AnswerFacts(
        usage=answer.usage,
        finish=(answer.provider_finish or answer.finish)[:_MAX_FINISH],
        ended=True,
        complete=answer.finish in _WHOLE,
        text=keeper.text(),
        truncated=keeper.truncated,
        has_tool_calls=any(isinstance(part, ToolCall) for part in answer.parts),
        items=len(answer.parts),
        answer_id=answer.id,
    )


class EventFacts:
    """The facts of a stream, event by event.

    A usage record counts only once it is the bill: a stream that was cut after a running count
    is never settled by that.
    """

    __slots__ = ("_facts", "_finished", "_in_text", "_keeper", "_usage")

    def __init__(self) -> None:
        self._facts = AnswerFacts()
        self._keeper = TextKeeper()
        self._in_text = False
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def take(self, event: Event) -> None:
        """Add one event."""
        if isinstance(event, PartGrows):
            if self._in_text:
                self._keeper.add(event.piece)
        elif isinstance(event, PartBegins):
            self._facts.items += 1
            self._in_text = event.kind == "text"
            if event.kind == "tool_call":
                self._facts.has_tool_calls = True
        elif isinstance(event, Finished):
            self._finished = event
        elif isinstance(event, Counted):
            if event.is_final:
                self._usage = event.usage
        elif isinstance(event, Ended):
            self._facts.ended = True
        elif isinstance(event, Failed):
            self._facts.error = event.message or "the provider reported an error"

    def unsettle(self) -> None:
        """The stream cannot be read further: no record from before counts what is in the rest."""
        self._usage = None

    def facts(self) -> AnswerFacts:
        """What is known so far."""
        facts, finished = self._facts, self._finished
        facts.text, facts.truncated = self._keeper.text(), self._keeper.truncated
        facts.usage = self._usage
        if finished is not None:
            facts.finish = (finished.provider_finish or finished.finish)[:_MAX_FINISH]
            facts.complete = facts.ended and finished.finish in _WHOLE
        return facts

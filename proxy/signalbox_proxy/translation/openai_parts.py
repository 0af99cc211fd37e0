"""Puts the parts of a streamed chat completion one after the other, whatever came interleaved."""

from collections import deque
from io import StringIO
from typing import Final, Literal, cast

from signalbox_proxy.translation.answer import Event, PartBegins, PartEnds, PartGrows
from signalbox_proxy.translation.contract import Unreadable

_DEEPER: Final = "{["
_HIGHER: Final = "}]"

_RUN: Final = 512
"""Characters of room that a run of held pieces takes besides its own: what its object weighs."""


class JsonEnd:
    """Notices where a JSON object that comes in pieces is closed."""

    __slots__ = ("_depth", "_is_escaped", "_is_text", "is_closed")

    def __init__(self) -> None:
        self._depth = 0
        self._is_text = False
        self._is_escaped = False
        self.is_closed = False

    def take(self, piece: str) -> None:
        """Look at the next piece."""
        for letter in piece:
            if self._is_text:
                if self._is_escaped:
                    self._is_escaped = False
                elif letter == "\\":
                    self._is_escaped = True
                elif letter == '"':
                    self._is_text = False
            elif letter == '"':
                self._is_text = True
            elif letter in _DEEPER:
                self._depth += 1
            elif letter in _HIGHER:
                self._depth -= 1
                self.is_closed = self._depth <= 0


class _OpenCall:
    """A tool call that goes out, or waits until it may."""

    __slots__ = ("end", "has_arguments", "held", "id", "is_over", "name")

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.name = ""
        self.held = StringIO()
        self.end = JsonEnd()
        self.has_arguments = False
        self.is_over = False

    def take(self, piece: str) -> None:
        self.end.take(piece)
        self.has_arguments = self.has_arguments or bool(piece)


Kind = Literal["text", "thinking", "refusal"]


class _Run:
    """Neighbouring pieces of one kind that wait: one piece by the time they go out."""

    __slots__ = ("held", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.held = StringIO()


_Waiting = _Run | _OpenCall


class PartOrder:
    """Takes pieces of parts as they come, gives events in which parts follow one another.

    Holds back at most `room` characters, objects included; more is `Unreadable`. Time is linear in
    the pieces, however they come.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._calls: dict[int, _OpenCall] = {}
        self._open: str | _OpenCall | None = None
        self._index = -1
        self._waiting: deque[_Waiting] = deque()

    def say(self, kind: str, text: str) -> list[Event]:
        """A piece of text, reasoning or refusal."""
        if not self._may_begin(kind):
            self._keep(kind, text)
            return []
        return [*self._turn_to(kind), PartGrows(self._index, text)]

    def call(self, number: int, identity: str, name: str, arguments: str) -> list[Event]:
        """A piece of the call `number`."""
        call = self._calls.get(number)
        if call is None:
            call = self._calls[number] = _OpenCall(identity)
            self._waiting.append(call)
        if not call.name:
            call.name = name
        if call.is_over:
            if arguments.strip():
                raise Unreadable("a tool call goes on after its end")
            return []
        call.take(arguments)
        if call is self._open:
            grown: list[Event] = [PartGrows(self._index, arguments)] if arguments else []
            return [*grown, *self._proceed()]
        if arguments:
            self._hold(arguments)
            call.held.write(arguments)
        return self._proceed()

    def close(self) -> list[Event]:
        """The answer ended: everything that waits goes out, the last part ends."""
        events = self._proceed(is_over=True)
        return events + self._end_open()

    def _may_begin(self, kind: str) -> bool:
        """Whether text may go out now: nothing waits before it, and no call is under way."""
        if self._waiting:
            return False
        return not isinstance(self._open, _OpenCall) or self._open.end.is_closed

    def _proceed(self, *, is_over: bool = False) -> list[Event]:
        """Let out what waits, as far as the part that is under way has come."""
        events: list[Event] = []
        while self._waiting:
            if isinstance(self._open, _OpenCall) and not (is_over or self._open.end.is_closed):
                break
            first = self._waiting[0]
            if isinstance(first, _OpenCall) and not first.name:
                if is_over:
                    raise Unreadable("a tool call has no name")
                break
            self._waiting.popleft()
            events += self._release(first)
        return events

    def _release(self, waiting: _Waiting) -> list[Event]:
        text = waiting.held.getvalue()
        self._room += len(text)
        if isinstance(waiting, _OpenCall):
            waiting.held = StringIO()
            events = self._turn_to(waiting)
        else:
            self._room += _RUN
            events = self._turn_to(waiting.kind)
        if text:
            events.append(PartGrows(self._index, text))
        return events

    def _turn_to(self, part: str | _OpenCall) -> list[Event]:
        """End the part that is under way and begin another, where it is another."""
        if part == self._open:
            return []
        events = self._end_open()
        self._open = part
        self._index += 1
        if isinstance(part, _OpenCall):
            events.append(PartBegins(self._index, "tool_call", id=part.id, name=part.name))
        else:
            origin = "openai" if part == "thinking" else ""
            events.append(PartBegins(self._index, cast("Kind", part), origin=origin))
        return events

    def _end_open(self) -> list[Event]:
        if self._open is None:
            return []
        events: list[Event] = [PartEnds(self._index)]
        if isinstance(self._open, _OpenCall):
            self._open.is_over = True
            if not self._open.has_arguments:
                events.insert(0, PartGrows(self._index, "{}"))
        self._open = None
        return events

    def _keep(self, kind: str, text: str) -> None:
        """Hold text back: at the end of the run that waits last, or as a run of its own."""
        last = self._waiting[-1] if self._waiting else None
        if not isinstance(last, _Run) or last.kind != kind:
            last = _Run(kind)
            self._room -= _RUN
            self._waiting.append(last)
        self._hold(text)
        last.held.write(text)

    def _hold(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise Unreadable("too much of the answer came out of order")

"""Compose answers, token by token: the same request and seed give the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from . import tokens
from .structured import Schema, satisfy

SHORTEST = 160
LONGEST = 360
LONGEST_SENTENCE = 20
SENTENCES = (
    "The request was read carefully before this answer was written.",
    "A short summary comes first, and the details follow in order.",
    "The figures for the last quarter show a steady rise in renewals.",
    "Two of the five regions grew faster than the plan had expected.",
    "Costs stayed flat because the new contracts began later in the year.",
    "The customer should be told about the delay before the end of the week.",
    "A refund is possible when the order has not left the warehouse yet.",
    "The report names three risks, and the first one deserves attention now.",
    "Interest rates moved little, so the value of the bonds changed by less than one percent.",
    "The function returns early when the list is empty, which the test did not cover.",
    "Moving the check in front of the loop makes the intention clear.",
    "There are two ways to solve this, and the simpler one is good enough here.",
    "It would help to know which version of the software is installed.",
    "Please compare the totals with the invoice before you approve the payment.",
    "The second paragraph can be removed without losing anything important.",
    "Most readers will look at the table first and at the text only later.",
    "A clear owner and a date for every action keep such a plan alive.",
    "The portfolio holds more cash than its policy allows for a longer time.",
    "Rebalancing in small steps keeps the cost of trading low.",
    "None of this replaces the advice of a person who knows the case.",
    "In short, the change is safe, small and easy to reverse.",
)

Finish = Literal["stop", "length", "stop_sequence", "tool"]


@dataclass(frozen=True)
class ToolWish:
    """A call that the answer is to make; ``schema`` None means free text as input."""

    name: str
    schema: Schema | None


@dataclass(frozen=True)
class Order:
    """What one choice is to be: its bounds and its form.

    An answer without ``wanted`` tokens ends by itself, after ``shortest`` to ``longest`` tokens.
    """

    seed: bytes
    limit: int
    wanted: int | None = None
    shortest: int = SHORTEST
    longest: int = LONGEST
    stops: tuple[str, ...] = ()
    tools: tuple[ToolWish, ...] = ()
    schema: Schema | None = None
    reasoning: int = 0


@dataclass(frozen=True)
class Part:
    """A run of generated tokens; ``unseen`` ones have no text, as a call's framing."""

    kind: Literal["reasoning", "text", "tool"]
    pieces: tuple[str, ...] = ()
    unseen: int = 0
    name: str = ""

    @property
    def text(self) -> str:
        """The part's whole text."""
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """How many tokens were generated for it."""
        return len(self.pieces) + self.unseen


@dataclass(frozen=True)
class Choice:
    """One answer: its parts in order and why it ended."""

    parts: tuple[Part, ...]
    finish: Finish
    stop_sequence: str | None = None

    @property
    def tokens(self) -> int:
        """How many tokens were generated."""
        return sum(part.tokens for part in self.parts)

    @property
    def reasoning(self) -> int:
        """How many of them were reasoning."""
        return sum(part.tokens for part in self.parts if part.kind == "reasoning")

    def text(self, kind: Literal["reasoning", "text"] = "text") -> str:
        """The text of all parts of a kind."""
        return "".join(part.text for part in self.parts if part.kind == kind)


@lru_cache(maxsize=1)
def _sentences() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Give each sentence's tokens, at the start of a text and behind another sentence."""
    return tuple((tokens.pieces(s), tokens.pieces(" " + s)) for s in SENTENCES)


def warm_up() -> None:
    """Load the vocabulary and cut the sentences, so that the first request need not."""
    _sentences()


def compose(order: Order) -> Choice:
    """Compose one choice; never more than ``order.limit`` tokens."""
    parts = []
    room = order.limit
    if order.reasoning:
        spent = min(order.reasoning, room)
        room -= spent
        parts.append(Part("reasoning", prose(order.seed + b"r", spent)))
    if room <= 0:
        return Choice(tuple(parts), "length")
    if order.tools:
        return _with_calls(order, parts, room)
    if order.schema is not None:
        return _with_document(order, parts, room)
    if order.wanted is None:
        full = prose(order.seed, _natural_length(order), whole=True)
    else:
        full = prose(order.seed, order.wanted)
    pieces = full[:room]
    visible, unseen, stop = _stopped(pieces, order.stops)
    parts.append(Part("text", visible, unseen=unseen))
    if stop is not None:
        return Choice(tuple(parts), "stop_sequence", stop)
    return Choice(tuple(parts), "length" if len(full) > room else "stop")


def _natural_length(order: Order) -> int:
    """Choose a length so that the last full sentence within it ends in the order's range."""
    shortest = min(order.shortest + LONGEST_SENTENCE, order.longest)
    chosen = int.from_bytes(order.seed[:4], "big") % (order.longest - shortest + 1)
    return shortest + chosen


def prose(seed: bytes, count: int, *, whole: bool = False) -> tuple[str, ...]:
    """Give ``count`` tokens of prose; with ``whole``, back to the end of the last full sentence."""
    sentences = _sentences()
    number = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big")
    made: list[str] = []
    last_end = 0
    while len(made) < count:
        number, index = divmod(number, len(sentences))
        if number < len(sentences):
            number = int.from_bytes(hashlib.blake2b(str(made[-3:]).encode() + seed).digest()[:8])
        made += sentences[index][1 if made else 0]
        last_end = len(made) if len(made) <= count else last_end
    return tuple(made[: last_end if whole and last_end else count])


def _stopped(
    pieces: tuple[str, ...], stops: tuple[str, ...]
) -> tuple[tuple[str, ...], int, str | None]:
    """Cut in front of the earliest stop sequence; its tokens stay billed, unseen."""
    text = "".join(pieces)
    found = [(position, stop) for stop in stops if (position := text.find(stop)) >= 0]
    if not found:
        return pieces, 0, None
    position, stop = min(found)
    kept: list[str] = []
    length = generated = 0
    for piece in pieces:
        if length >= position + len(stop):
            break
        visible = piece[: max(0, position - length)]
        if visible:
            kept.append(visible)
        length += len(piece)
        generated += 1
    return tuple(kept), generated - len(kept), stop


def _with_document(order: Order, parts: list[Part], room: int) -> Choice:
    document = satisfy(order.schema or {}, order.seed)
    pieces = tokens.pieces(json.dumps(document, separators=(",", ":")))
    parts.append(Part("text", pieces[:room]))
    return Choice(tuple(parts), "length" if len(pieces) > room else "stop")


def _with_calls(order: Order, parts: list[Part], room: int) -> Choice:
    """Call every wished tool, as far as the room allows."""
    for number, wish in enumerate(order.tools):
        framing = tokens.count(wish.name) + 3
        if framing >= room:
            return Choice(tuple(parts), "length")
        seed = order.seed + bytes([number])
        if wish.schema is None:
            pieces = prose(seed, 12)
        else:
            document = satisfy(wish.schema, seed)
            pieces = tokens.pieces(json.dumps(document, separators=(",", ":")))
        cut = pieces[: room - framing]
        parts.append(Part("tool", cut, unseen=framing, name=wish.name))
        room -= framing + len(cut)
        if len(cut) < len(pieces):
            return Choice(tuple(parts), "length")
    return Choice(tuple(parts), "tool")


def grouped(pieces: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    """Group tokens as they leave in chunks."""
    for start in range(0, len(pieces), size):
        yield pieces[start : start + size]

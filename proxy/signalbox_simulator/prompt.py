"""A prompt as the simulator meters it: segments, each with tokens and a cache identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from fractions import Fraction

from . import tokens


def compact(document: object) -> str:
    """Write JSON without spaces, as it is counted."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Segment:
    """One run of the prompt. ``ttl`` is set where an explicit cache breakpoint follows it."""

    text: str
    tokens: int
    ttl: str | None = None


@dataclass
class Prompt:
    """A prompt under construction. ``scale`` is the model's vocabulary against o200k."""

    scale: Fraction = Fraction(1)
    segments: list[Segment] = field(default_factory=list)
    last_user_text: str = ""

    def add_text(self, text: str, *, overhead: int = 0, ttl: str | None = None) -> None:
        """Append text, with fixed tokens around it."""
        counted = tokens.count(text, self.scale) + overhead
        if counted or ttl:
            self.segments.append(Segment(text, counted, ttl))

    def add_opaque(self, identity: bytes, counted: int, *, ttl: str | None = None) -> None:
        """Append what is no text (an image, a page) under the digest of its content."""
        self.segments.append(Segment(hashlib.sha256(identity).hexdigest(), counted, ttl))

    def mark(self, ttl: str) -> None:
        """Put a cache breakpoint behind what was added last."""
        last = self.segments[-1]
        self.segments[-1] = Segment(last.text, last.tokens, ttl)

    @property
    def total(self) -> int:
        """All tokens of the prompt."""
        return sum(segment.tokens for segment in self.segments)

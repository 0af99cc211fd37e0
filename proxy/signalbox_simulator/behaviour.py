"""How the simulator misbehaves when told to: rules from a file, from the control port, from a
message.

A rule has a match (``host``, ``model``), a condition (``probability``, ``next``) and effects.
All rules that match and fire apply; where two set the same effect, the later one wins. File
rules come first, then those of the control port, then the message's own directives.

Directives stand in the text of the last user message:

============================  =========================================================
``[[slow 500]]``              half a second before anything happens
``[[first 500]]``             half a second before the answer's first byte
``[[chunk 50]]``              50 ms between chunks
``[[tokens 40]]``             an answer of exactly 40 tokens, as far as the limit allows
``[[overshoot 20]]``          20 tokens more than the output limit
``[[tool]]``, ``[[tool 2]]``  one or two tool calls, where tools are given
``[[status 503]]``            that status instead of an answer
``[[retry-after 2]]``         with that header
``[[omit-usage]]``            no usage in the answer; the bill has it
``[[cut 5]]``                 the connection is reset after five chunks
``[[stall 5]]``               silence after five chunks
``[[malformed 5]]``           broken JSON after five chunks
``[[error 5]]``               an error frame after five chunks
``[[reset]]``                 the connection is reset before the answer
``[[hang]]``                  no answer, and the connection stays open
``[[block]]``                 the prompt is refused by a filter (generateContent)
``[[withhold]]``              the answer is withheld by a filter (generateContent)
============================  =========================================================

What the simulator breaks off by itself (``cut_after_chunks``, ``error_after_chunks``, ``reset``,
``hang``) is billed as ``bill`` says: ``none``, ``generated`` (what had been generated, with the
input) or ``full``. The default is ``generated`` once the head was sent, ``none`` before.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Milliseconds = Annotated[int, Field(ge=0, le=3_600_000)]
Chunks = Annotated[int, Field(ge=0, le=1_000_000)]


class Effects(BaseModel):
    """What happens to a request; None leaves it alone."""

    model_config = ConfigDict(extra="forbid")

    latency_ms: Milliseconds | None = None
    first_chunk_ms: Milliseconds | None = None
    chunk_ms: Milliseconds | None = None
    chunk_tokens: Annotated[int, Field(ge=1, le=10_000)] | None = None
    tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    overshoot_tokens: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    error_body: Literal["provider", "html", "empty"] | None = None
    hang: bool | None = None
    reset: Literal["before_head", "after_head", "before_end"] | None = None
    cut_after_chunks: Chunks | None = None
    stall_after_chunks: Chunks | None = None
    malformed_after_chunks: Chunks | None = None
    error_after_chunks: Chunks | None = None
    omit_usage: bool | None = None
    bill: Literal["none", "generated", "full"] | None = None
    call_tools: Annotated[int, Field(ge=0, le=8)] | None = None
    withhold: Literal["prompt", "answer"] | None = None

    def overlay(self, other: Effects) -> Effects:
        """Give these effects with the other's on top."""
        return self.model_copy(update=other.model_dump(exclude_none=True))


class Rule(Effects):
    """Effects with the requests that they are for. A ``host`` or ``model`` left out matches all."""

    host: str | None = None
    model: str | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    next: Annotated[int, Field(ge=0)] | None = None

    def matches(self, host: str, model: str) -> bool:
        """Tell whether the rule is for such a request."""
        return self.host in (None, "*", host) and self.model in (None, "*", model)


class Rules(BaseModel):
    """A behaviour file, or the body of a control request."""

    model_config = ConfigDict(extra="forbid")

    rules: list[Rule] = []


@dataclass
class _Counted:
    rule: Rule
    number: int
    seen: int = 0
    fired: int = 0

    def fires(self, seed: int) -> bool:
        """Decide by count and seed, so that a run can be repeated."""
        self.seen += 1
        if self.rule.next is not None and self.fired >= self.rule.next:
            return False
        if self.rule.probability is not None:
            drawn = zlib.crc32(f"{seed}/{self.number}/{self.seen}".encode()) / 2**32
            if drawn >= self.rule.probability:
                return False
        self.fired += 1
        return True


@dataclass
class Behaviour:
    """The rules in force."""

    seed: int = 0
    file: Path | None = None
    _from_file: list[_Counted] = field(default_factory=list)
    _from_control: list[_Counted] = field(default_factory=list)
    _stamp: tuple[int, int] | None = None

    def control(self, rules: Rules) -> None:
        """Replace the control port's rules."""
        self._from_control = [_Counted(rule, n) for n, rule in enumerate(rules.rules)]

    def decide(self, host: str, model: str, text: str) -> Effects:
        """Combine the rules that fire for a request with its last user message's directives."""
        self._reload()
        effects = Effects()
        for counted in self._from_file + self._from_control:
            if counted.rule.matches(host, model) and counted.fires(self.seed):
                effects = effects.overlay(_effects_of(counted.rule))
        return effects.overlay(directives(text)) if "[[" in text else effects

    def _reload(self) -> None:
        """Read the file again if it changed; a broken one leaves the last rules in force."""
        if self.file is None:
            return
        try:
            status = self.file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            loaded = Rules.model_validate(yaml.safe_load(self.file.read_text()) or {})
        except (OSError, yaml.YAMLError, ValidationError, ValueError):
            return
        self._from_file = [_Counted(rule, 1000 + n) for n, rule in enumerate(loaded.rules)]


_CONDITIONS = {"host", "model", "probability", "next"}


def _effects_of(rule: Rule) -> Effects:
    return Effects(**rule.model_dump(exclude=_CONDITIONS, exclude_none=True))


_DIRECTIVE = re.compile(r"\[\[([a-z-]{1,20})(?: ([0-9]{1,7}))?\]\]")
_NUMBERED = {
    "slow": "latency_ms",
    "first": "first_chunk_ms",
    "chunk": "chunk_ms",
    "status": "status",
    "retry-after": "retry_after",
    "cut": "cut_after_chunks",
    "stall": "stall_after_chunks",
    "malformed": "malformed_after_chunks",
    "error": "error_after_chunks",
    "tokens": "tokens",
    "overshoot": "overshoot_tokens",
}
_PLAIN: dict[str, dict[str, object]] = {
    "omit-usage": {"omit_usage": True},
    "reset": {"reset": "before_head"},
    "hang": {"hang": True},
    "tool": {"call_tools": 1},
    "block": {"withhold": "prompt"},
    "withhold": {"withhold": "answer"},
}


def directives(text: str) -> Effects:
    """Read ``[[name]]`` and ``[[name number]]`` from a message; what is not known is plain text."""
    found: dict[str, object] = {}
    for name, number in _DIRECTIVE.findall(text):
        if name == "tool" and number:
            found["call_tools"] = int(number)
        elif name in _NUMBERED and number:
            found[_NUMBERED[name]] = int(number)
        elif name in _PLAIN and not number:
            found.update(_PLAIN[name])
    try:
        return Effects.model_validate(found)
    except ValidationError:
        return Effects()

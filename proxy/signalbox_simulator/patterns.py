"""Texts that match a JSON Schema's ``pattern`` (the subset of ECMA-262 that is in use).

Literals, escapes, classes, groups, alternatives and repetitions are made; anchors are taken for
granted; look-arounds and back-references make the pattern unsupported, look-aheads at the start
excepted, which only narrow what the rest allows.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

MAX_PATTERN = 1000
MAX_DEPTH = 20
MAX_TEXT = 2000
MAX_STEPS = 20_000
CLASSES = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits + "_",
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": string.ascii_lowercase,
}
CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
ANY = string.ascii_lowercase
PRINTABLE = string.ascii_letters + string.digits + " " + string.punctuation


@dataclass
class Writer:
    """Reads the pattern once and writes a text that matches it, alternatives by chance.

    ``stretch`` is how often what may repeat without end is repeated. Raises ValueError for what is
    not supported.
    """

    pattern: str
    chance: random.Random
    stretch: int = 1
    position: int = 0
    depth: int = 0
    steps: int = 0
    _unwanted: bool = False

    def text(self) -> str:
        """Write a text; raises ValueError."""
        if len(self.pattern) > MAX_PATTERN:
            raise ValueError("the pattern is too long")
        made = self._alternatives()
        if self.position < len(self.pattern):
            raise ValueError("unbalanced ')'")
        return made

    def _peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def _take(self) -> str:
        if self.position >= len(self.pattern):
            raise ValueError("the pattern ends too early")
        self.position += 1
        return self.pattern[self.position - 1]

    def _alternatives(self) -> str:
        options = [self._sequence()]
        while self._peek() == "|":
            self._take()
            options.append(self._sequence())
        return self.chance.choice(options)

    def _sequence(self) -> str:
        made = ""
        while self._peek() not in ("", "|", ")"):
            start = self.position
            piece = self._atom()
            end = self.position
            for _ in range(self._count() - 1):
                after, self.position = self.position, start
                piece += self._atom()
                if self.position != end:
                    raise ValueError("the pattern cannot be read twice")
                self.position = after
            made += "" if self._unwanted else piece
            if len(made) > MAX_TEXT:
                raise ValueError("its texts are too long")
        return made

    def _count(self) -> int:
        """Read a quantifier and choose how often; never by chance, so that lengths are steady."""
        self._unwanted = False
        sign = self._peek()
        if sign in ("*", "+"):
            count = self.stretch
        elif sign == "?":
            count = 1
        elif sign == "{":
            close = self.pattern.find("}", self.position)
            least, comma, most = self.pattern[self.position + 1 : close].partition(",")
            count = int(least)
            if comma:
                count = max(count, min(self.stretch, int(most) if most else self.stretch))
            self.position = close
            self._unwanted = count == 0
        else:
            return 1
        self._take()
        if self._peek() in ("?", "+"):
            self._take()
        if count > MAX_TEXT:
            raise ValueError("it repeats too often")
        return count

    def _atom(self) -> str:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ValueError("its repetitions multiply")
        sign = self._take()
        if sign in "^$":
            return ""
        if sign == ".":
            return self.chance.choice(ANY)
        if sign == "[":
            return self.chance.choice(self._class())
        if sign == "(":
            return self._group()
        if sign == "\\":
            named = self._escape()
            return self.chance.choice(named) if named else ""
        if sign in "*+?{":
            raise ValueError("nothing to repeat")
        return sign

    def _group(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("it nests too deeply")
        ignored = False
        if self._peek() == "?":
            self._take()
            kind = self._take()
            ignored = kind in "!="
            if not ignored and kind != ":":
                self._named(kind)
        made = self._alternatives()
        if self._take() != ")":
            raise ValueError("unbalanced '('")
        self.depth -= 1
        return "" if ignored else made

    def _named(self, kind: str) -> None:
        if kind not in "P<" or self._peek() in ("=", "!"):
            raise ValueError("look-behinds are not supported")
        self.position = self.pattern.find(">", self.position) + 1

    def _escape(self) -> str:
        sign = self._take()
        if sign in "bB":
            return ""
        if sign in CLASSES:
            return CLASSES[sign]
        if sign in CONTROL:
            return CONTROL[sign]
        if sign in "ux":
            digits = 4 if sign == "u" else 2
            code = self.pattern[self.position : self.position + digits]
            self.position += digits
            return chr(int(code, 16))
        if sign.isalnum():
            raise ValueError(f"escape \\{sign} is not supported")
        return sign

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._take()
        members = ""
        while self._peek() != "]" or not members:
            sign = self._take()
            first = self._escape() if sign == "\\" else sign
            if self._peek() == "-" and self.pattern[self.position + 1 : self.position + 2] != "]":
                self._take()
                sign = self._take()
                last = self._escape() if sign == "\\" else sign
                if not 0 <= ord(last) - ord(first) < MAX_TEXT:
                    raise ValueError("a range of characters is too wide or empty")
                first = "".join(map(chr, range(ord(first), ord(last) + 1)))
            members += first
        self._take()
        allowed = [c for c in PRINTABLE if c not in members] if negated else members
        if not allowed:
            raise ValueError("a class allows nothing")
        return "".join(allowed)


def matching(pattern: str, chance: random.Random, least: int, most: int) -> str:
    """Make a text of ``least`` to ``most`` characters; raises ValueError where none was found."""
    for stretch in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256):
        text = Writer(pattern, chance, stretch).text()
        if least <= len(text) <= most:
            return text
    raise ValueError("no text of that length was found")

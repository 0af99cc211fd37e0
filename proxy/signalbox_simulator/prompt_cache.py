"""Prompt caches as providers run them: automatic by prefix, and explicit by breakpoints."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import tokens
from .prompt import Prompt, Segment
from .sheet import Usage

AUTOMATIC_MINIMUM = 1024
AUTOMATIC_STEP = 128
AUTOMATIC_SECONDS = 600
LOOK_BACK = 20
TTL_SECONDS = {"5m": 300, "1h": 3600}
MAX_ENTRIES = 200_000


@dataclass
class PromptCache:
    """Digests of prefixes with their expiry, oldest use first; ``clock`` gives seconds."""

    clock: Callable[[], float]
    _expiry: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    def _holds(self, digest: bytes) -> bool:
        return self._expiry.get(digest, 0.0) > self.clock()

    def _put(self, digest: bytes, seconds: int) -> None:
        deadline = self.clock() + seconds
        self._expiry[digest] = max(deadline, self._expiry.get(digest, 0.0))
        self._expiry.move_to_end(digest)
        while len(self._expiry) > MAX_ENTRIES:
            self._expiry.popitem(last=False)

    def automatic(self, account: tuple[str, ...], prompt: Prompt) -> int:
        """Give how many tokens of the prompt are cached already, and remember all its prefixes."""
        if prompt.total < AUTOMATIC_MINIMUM:
            return 0
        cached = 0
        for length, digest in _token_prefixes(account, prompt):
            if self._holds(digest):
                cached = length
            self._put(digest, AUTOMATIC_SECONDS)
        return cached

    def explicit(self, account: tuple[str, ...], prompt: Prompt, minimum: int) -> Usage:
        """Split the prompt into read, written and plain tokens by its breakpoints."""
        prefixes = list(_segment_prefixes(account, prompt))
        marks = [
            index
            for index, segment in enumerate(prompt.segments)
            if segment.ttl and prefixes[index][0] >= minimum
        ]
        if not marks:
            return Usage(input=prompt.total)
        read = self._read(prefixes, marks)
        written = {"5m": 0, "1h": 0}
        position = read
        for index in marks:
            length, digest = prefixes[index]
            ttl = prompt.segments[index].ttl or "5m"
            self._put(digest, TTL_SECONDS[ttl])
            if length > position:
                written[ttl] += length - position
                position = length
        return Usage(
            input=prompt.total - position,
            cached_input=read,
            cache_write_5m=written["5m"],
            cache_write_1h=written["1h"],
        )

    def _read(self, prefixes: list[tuple[int, bytes]], marks: list[int]) -> int:
        """Find the longest cached prefix at, or up to twenty segments before, a breakpoint."""
        for mark in reversed(marks):
            for index in range(mark, max(-1, mark - LOOK_BACK - 1), -1):
                if self._holds(prefixes[index][1]):
                    return prefixes[index][0]
        return 0


def _segment_prefixes(account: tuple[str, ...], prompt: Prompt) -> Iterator[tuple[int, bytes]]:
    digest = hashlib.blake2b(repr(account).encode(), digest_size=16)
    length = 0
    for segment in prompt.segments:
        text = segment.text.encode()
        digest.update(len(text).to_bytes(8, "big") + text)
        length += segment.tokens
        yield length, digest.digest()


def _token_prefixes(account: tuple[str, ...], prompt: Prompt) -> Iterator[tuple[int, bytes]]:
    """Digest every prefix that the automatic cache distinguishes."""
    digest = hashlib.blake2b(repr(account).encode(), digest_size=16)
    length = 0
    boundary = AUTOMATIC_MINIMUM
    for segment in prompt.segments:
        for identity in _units(segment):
            digest.update(identity.to_bytes(8, "big"))
            length += 1
            if length == boundary:
                yield length, digest.digest()
                boundary += AUTOMATIC_STEP


def _units(segment: Segment) -> Iterator[int]:
    """Give one number per billed token, filled up where overhead or scale add some."""
    numbers = tokens.encode(segment.text)[: segment.tokens]
    yield from numbers
    for filler in range(segment.tokens - len(numbers)):
        yield 2**32 + filler

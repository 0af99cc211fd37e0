"""What each wire format offers to the server: read a request, compose, shape an error."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from .behaviour import Effects
from .prompt import Prompt
from .prompt_cache import PromptCache
from .refusals import Refusal
from .responses_state import StoredResponses
from .sheet import ModelSheet, Sheet, Usage

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Context:
    """What a surface knows besides the body: host, credential, the simulator's state."""

    sheet: Sheet
    host: str
    credential: str
    request_id: str
    headers: Mapping[str, str]
    seed: int
    answer_tokens: tuple[int, int]
    cache: PromptCache
    path: str = ""
    stored: StoredResponses = field(default_factory=StoredResponses)

    @property
    def account(self) -> str:
        """Whose request it is: a credential at a host."""
        return f"{self.credential}@{self.host}"

    @property
    def created(self) -> int:
        """The time of the answer, in seconds since 1970."""
        return int(time.time())

    def digest(self, model: str, prompt: Prompt, *more: object) -> bytes:
        """Give what an answer depends on: seed, model and prompt, but no limit or flag."""
        digest = hashlib.blake2b(repr((self.seed, model, *more)).encode(), digest_size=16)
        for segment in prompt.segments:
            text = segment.text.encode()
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.digest()

    def kept_by_itself(
        self, model: str, section: ModelSheet, prompt: Prompt, *, key: str = ""
    ) -> Usage:
        """Split a prompt's tokens by what the provider has kept of it unasked."""
        cached = 0
        if section.usd_per_million.cached_input is not None:
            account = (self.credential, self.host, model, key)
            cached = self.cache.automatic(account, prompt)
        return Usage(input=prompt.total - cached, cached_input=cached)

    def kept_by_points(self, model: str, section: ModelSheet, prompt: Prompt) -> Usage:
        """Split a prompt's tokens by what its breakpoints read and write."""
        if section.usd_per_million.cached_input is None:
            return Usage(input=prompt.total)
        account = (self.credential, self.host, model)
        return self.cache.explicit(account, prompt, section.cache_minimum_tokens)


class Answer(Protocol):
    """A composed answer, to be sent whole or as a stream."""

    @property
    def usage(self) -> Usage:
        """What is billed when all of it was generated."""

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the body of an answer that is not streamed."""

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the stream's frames up to the closing ones, with the tokens generated for each."""

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the frames that end the stream."""

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the frame that tells an error in the middle of a stream."""


class WholeAnswer:
    """Base of the answers that are never streamed."""

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give nothing."""
        return iter(())

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give nothing."""
        return b""

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give nothing."""
        return b""


class Pending(Protocol):
    """A valid request, read and metered, for which nothing has been generated yet."""

    @property
    def model(self) -> str:
        """The model's name in the sheet."""

    @property
    def tier(self) -> str:
        """The service tier that is billed."""

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""

    def compose(self, effects: Effects) -> Answer:
        """Compose the answer; raises Refusal where the request turns out impossible."""


class Surface(Protocol):
    """One endpoint's wire format."""

    @property
    def stream_type(self) -> str:
        """The content type of its streams."""

    def read(self, document: dict[str, object], context: Context) -> Pending:
        """Validate and meter a request; raises Refusal."""

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give the body of an error answer."""


def encoded(document: object) -> bytes:
    """Encode JSON."""
    return msgspec.json.encode(document)


def data_frame(document: object) -> bytes:
    """Give an unnamed server-sent event."""
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def named_frame(event: str, document: object) -> bytes:
    """Give a named server-sent event."""
    return b"event: " + event.encode() + b"\ndata: " + msgspec.json.encode(document) + b"\n\n"


def find_model(context: Context, name: str) -> tuple[str, ModelSheet] | None:
    """Find a model at the context's host."""
    return context.sheet.find(context.host, name)

"""Counts tokens for the expected cost; bounds never depend on it. Pure, linear time.

`o200k` and `cl100k` are OpenAI's public vocabularies. Vocabularies that are not public are
estimated from o200k with a margin: published counts of other vendors' models on the same text
lie within it.
"""

from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Literal

from rs_bpe.bpe import openai

Encoding = Literal["o200k", "cl100k", "estimate"]
Vocabulary = Literal["o200k", "cl100k"]

SAMPLE_BYTES: Final = 8192
"""Beyond this much text only the beginning of each text is counted, and the rest in proportion:
counting takes about 80 microseconds per KiB, and the figure only ranks candidates."""

REMEMBERED: Final = 8192
"""Texts whose counts are kept for each vocabulary: a conversation comes back with every turn."""

_ESTIMATE_PERCENT: Final = 120
_LEAST_PIECE: Final = 64

_VOCABULARY: Final[dict[Encoding, Vocabulary]] = {
    "o200k": "o200k",
    "cl100k": "cl100k",
    "estimate": "o200k",
}


def load(encodings: Iterable[Encoding]) -> None:
    """Read the vocabularies of these encodings now: a tenth of a second and 30 to 70 MB each.

    `count` would do it when it first needs one, in the middle of a request.
    """
    for name in {_VOCABULARY[encoding] for encoding in encodings}:
        _tokenizer(name)


def count(encoding: Encoding, texts: Iterable[str]) -> int:
    """Tokens of all texts: exact up to `SAMPLE_BYTES`, in proportion beyond."""
    counter = _tokenizer(_VOCABULARY[encoding])
    texts = tuple([text for text in texts if text])
    length = sum(map(len, texts))
    if length <= SAMPLE_BYTES:
        counted = sum(map(counter.count, texts))
    else:
        sample = _sample(texts, length)
        sampled = sum(map(len, sample))
        counted = sum(map(counter.count, sample))
        counted = -(-counted * length // sampled)
    return -(-counted * _ESTIMATE_PERCENT // 100) if encoding == "estimate" else counted


def _sample(texts: tuple[str, ...], length: int) -> list[str]:
    """Beginnings of texts, spread over all of them: about `SAMPLE_BYTES` characters in all."""
    step = max(1, len(texts) * _LEAST_PIECE // SAMPLE_BYTES)
    return [text[: max(_LEAST_PIECE, len(text) * SAMPLE_BYTES // length)] for text in texts[::step]]


class _Counter:
    """One vocabulary, with the counts of texts that it saw lately, by their digests."""

    def __init__(self, vocabulary: Any) -> None:
        self._vocabulary = vocabulary
        self._known: dict[bytes, int] = {}

    def count(self, text: str) -> int:
        digest = blake2b(text.encode(), digest_size=16).digest()
        counted = self._known.get(digest)
        if counted is None:
            counted = int(self._vocabulary.count(text))
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = counted
        return counted


@cache
def _tokenizer(name: Vocabulary) -> _Counter:
    return _Counter(openai.cl100k_base() if name == "cl100k" else openai.o200k_base())

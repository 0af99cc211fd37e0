"""Token counting with o200k_base, the simulator's own use of the tokenizer."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Protocol, cast

from rs_bpe.bpe import openai as vocabularies


class _Vocabulary(Protocol):
    def encode(self, text: str) -> list[int]: ...

    def decode(self, tokens: list[int]) -> str | None: ...

    def count(self, text: str) -> int: ...


@lru_cache(maxsize=1)
def _o200k() -> _Vocabulary:
    return cast("_Vocabulary", vocabularies.o200k_base())


def encode(text: str) -> list[int]:
    """Give the token numbers of a text."""
    return _o200k().encode(text) if text else []


def count(text: str, scale: Fraction = Fraction(1)) -> int:
    """Count a text's tokens times ``scale``, rounded up, at most its UTF-8 bytes."""
    if not text:
        return 0
    tokens = _o200k().count(text)
    if scale == 1:
        return tokens
    scaled = -(-tokens * scale.numerator // scale.denominator)
    return min(scaled, len(text.encode()))


def pieces(text: str) -> tuple[str, ...]:
    """Cut an ASCII text into its tokens' texts, in order."""
    vocabulary = _o200k()
    cut = tuple(vocabulary.decode([token]) or "" for token in encode(text))
    if "".join(cut) != text:
        raise ValueError("only text whose tokens are whole characters can be cut")
    return cut

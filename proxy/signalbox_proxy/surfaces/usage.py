"""The providers' usage records, made comparable: billed tokens by meter, nothing counted twice.

OpenAI's `prompt_tokens` includes cached tokens, Anthropic's `input_tokens` excludes them. A
record that is missing, malformed, negative or absurd gives None, and the attempt is charged in
full: never a negative cost, never zero for want of a number. A record of zeros is a record.
"""

from typing import Any, Final

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import CacheWrite

MAX_TOKENS: Final = 10**9
"""More than any request can have; a number above it is not believed."""


def openai_usage(record: object, cache_write: CacheWrite) -> Usage | None:
    """Read the `usage` of a chat completion or of embeddings.

    Cached and cache-write tokens lie within `prompt_tokens`; where they exceed it, the server
    counts them beside it, and both are billed. `total_tokens` beyond prompt and completion are
    reasoning tokens that some servers leave out of `completion_tokens`; they are output.
    """
    if not isinstance(record, dict):
        return None
    prompt = _count(record, "prompt_tokens", required=True)
    completion = _count(record, "completion_tokens")
    total = _count(record, "total_tokens")
    inside = _details(record, "prompt_tokens_details")
    of_output = _details(record, "completion_tokens_details")
    if None in (prompt, completion, total) or inside is None or of_output is None:
        return None
    cached = _count(inside, "cached_tokens")
    written = _count(inside, "cache_write_tokens")
    reasoning = _count(of_output, "reasoning_tokens")
    if prompt is None or completion is None or total is None:
        return None
    if cached is None or written is None or reasoning is None:
        return None
    fresh = prompt - cached - written
    output = max(completion, total - prompt) if "completion_tokens" in record else 0
    return Usage(
        input=fresh if fresh >= 0 else prompt,
        cached_input=cached,
        cache_write_5m=0 if cache_write == "1h" else written,
        cache_write_1h=written if cache_write == "1h" else 0,
        output=output,
        reasoning=min(reasoning, output),
    )


def anthropic_usage(record: object) -> Usage | None:
    """Read the `usage` of a message, or the merged ones of a stream.

    Cache writes that the record does not split by lifetime count as the shorter one's.
    """
    if not isinstance(record, dict):
        return None
    fresh = _count(record, "input_tokens", required=True)
    output = _count(record, "output_tokens", required=True)
    cached = _count(record, "cache_read_input_tokens")
    written = _count(record, "cache_creation_input_tokens")
    split = _details(record, "cache_creation")
    of_output = _details(record, "output_tokens_details")
    if split is None or of_output is None:
        return None
    short = _count(split, "ephemeral_5m_input_tokens")
    long = _count(split, "ephemeral_1h_input_tokens")
    thinking = _count(of_output, "thinking_tokens")
    if fresh is None or output is None or cached is None or written is None:
        return None
    if short is None or long is None or thinking is None:
        return None
    return Usage(
        input=fresh,
        cached_input=cached,
        cache_write_5m=max(short, written - long),
        cache_write_1h=long,
        output=output,
        reasoning=min(thinking, output),
    )


def _count(record: dict[str, Any], key: str, *, required: bool = False) -> int | None:
    """A plausible number of tokens; 0 where it is absent and may be; None where it is neither."""
    value = record.get(key)
    if value is None:
        return None if required else 0
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


def _details(record: dict[str, Any], key: str) -> dict[str, Any] | None:
    value = record.get(key)
    if value is None:
        return {}
    return value if isinstance(value, dict) else None

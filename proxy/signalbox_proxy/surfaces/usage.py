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


def openai_usage(
    record: object, cache_write: CacheWrite, *, has_output: bool = True
) -> Usage | None:
    """Read the `usage` of a chat completion, or of embeddings, which have no output.

    Cached and cache-write tokens lie within `prompt_tokens`; where they exceed it, the server
    counts them beside it, and both are billed. `total_tokens` beyond prompt and completion are
    reasoning tokens that some servers leave out of `completion_tokens`; they are output. Where
    neither tells the output, nothing does: that it was none must be said.
    """
    if not isinstance(record, dict):
        return None
    prompt = token_count(record, "prompt_tokens", required=True)
    completion = token_count(record, "completion_tokens")
    total = token_count(record, "total_tokens")
    inside = _details(record, "prompt_tokens_details")
    of_output = _details(record, "completion_tokens_details")
    if None in (prompt, completion, total) or inside is None or of_output is None:
        return None
    cached = token_count(inside, "cached_tokens")
    written = token_count(inside, "cache_write_tokens")
    reasoning = token_count(of_output, "reasoning_tokens")
    if prompt is None or completion is None or total is None:
        return None
    if cached is None or written is None or reasoning is None:
        return None
    fresh = prompt - cached - written
    is_told = record.get("completion_tokens") is not None
    if has_output and not is_told and (record.get("total_tokens") is None or total < prompt):
        return None
    output = max(completion, total - prompt) if has_output or is_told else 0
    return Usage(
        input=fresh if fresh >= 0 else prompt,
        cached_input=cached,
        cache_write_5m=0 if cache_write == "1h" else written,
        cache_write_1h=written if cache_write == "1h" else 0,
        output=output,
        reasoning=min(reasoning, output),
    )


def responses_usage(record: object, cache_write: CacheWrite) -> Usage | None:
    """Read the `usage` of a response: a chat completion's under other names."""
    if not isinstance(record, dict):
        return None
    return openai_usage(
        {
            "prompt_tokens": record.get("input_tokens"),
            "completion_tokens": record.get("output_tokens"),
            "total_tokens": record.get("total_tokens"),
            "prompt_tokens_details": record.get("input_tokens_details"),
            "completion_tokens_details": record.get("output_tokens_details"),
        },
        cache_write,
    )


def anthropic_usage(record: object) -> Usage | None:
    """Read the `usage` of a message, or the merged ones of a stream.

    Cache writes that the record does not split by lifetime count as the shorter one's.
    """
    if not isinstance(record, dict):
        return None
    fresh = token_count(record, "input_tokens", required=True)
    output = token_count(record, "output_tokens", required=True)
    cached = token_count(record, "cache_read_input_tokens")
    written = token_count(record, "cache_creation_input_tokens")
    split = _details(record, "cache_creation")
    of_output = _details(record, "output_tokens_details")
    if split is None or of_output is None:
        return None
    short = token_count(split, "ephemeral_5m_input_tokens")
    long = token_count(split, "ephemeral_1h_input_tokens")
    thinking = token_count(of_output, "thinking_tokens")
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


class AnthropicTotals:
    """The usage records of one messages stream, merged.

    `message_start` carries the input's tokens, each `message_delta` the running totals; they are
    the bill only from the one on that tells the stop reason. Without it the output is not known.
    Totals only grow, and what a start tells never replaces one: events in a wrong order cannot
    make the bill smaller. What is said after the stop reason needs totals of its own.
    """

    def __init__(self) -> None:
        self._begun: dict[str, Any] = {}
        self._totals: dict[str, Any] = {}
        self.stop_reason: object = None
        self.is_final = False

    def begin(self, usage: object) -> None:
        """Take the record of `message_start`."""
        if isinstance(usage, dict):
            _merge(self._begun, usage)

    def go_on(self) -> None:
        """More of the answer came: no total from before counts it."""
        self.is_final = False

    def take(self, usage: object, stop_reason: object) -> None:
        """Take what a `message_delta` tells; None stands for what it leaves out."""
        if stop_reason is not None:
            self.stop_reason = stop_reason
        if not isinstance(usage, dict):
            return
        _merge(self._totals, usage)
        if self.stop_reason is not None and usage.get("output_tokens") is not None:
            self.is_final = True

    def usage(self) -> Usage | None:
        """The totals so far; None where they are missing or not plausible."""
        return anthropic_usage(self._begun | self._totals)


def gemini_usage(record: object) -> Usage | None:
    """Read the `usageMetadata` of a generateContent answer, or the last state of a stream's.

    Cached tokens lie within the prompt, thinking beside the answer; results of the provider's own
    tools are input. A zero is left out of the record, so that either the answer's count or the
    total must be there. What the total has beyond its parts is output.
    """
    if not isinstance(record, dict):
        return None
    prompt = token_count(record, "promptTokenCount", required=True)
    has_total = record.get("totalTokenCount") is not None
    answered = token_count(record, "candidatesTokenCount", required=not has_total)
    thought = token_count(record, "thoughtsTokenCount")
    cached = token_count(record, "cachedContentTokenCount")
    of_tools = token_count(record, "toolUsePromptTokenCount")
    total = token_count(record, "totalTokenCount")
    if prompt is None or answered is None or thought is None:
        return None
    if cached is None or of_tools is None or total is None:
        return None
    fresh = prompt - cached
    output = max(answered + thought, total - prompt - of_tools)
    return Usage(
        input=(fresh if fresh >= 0 else prompt) + of_tools,
        cached_input=cached,
        output=output,
        reasoning=min(thought, output),
    )


def _merge(known: dict[str, Any], record: dict[str, Any]) -> None:
    """Add a record to what is known; counts, and those of its details, only grow."""
    for key, value in record.items():
        old = known.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            details = {name: _grown(old.get(name), count) for name, count in value.items()}
            known[key] = old | details
        else:
            known[key] = _grown(old, value)


def _grown(old: object, new: object) -> object:
    """The larger of two counts; what is left out takes nothing back."""
    if new is None:
        return old
    return max(old, new) if isinstance(old, int) and isinstance(new, int) else new


def token_count(record: dict[str, Any], key: str, *, required: bool = False) -> int | None:
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

"""Anthropic's messages as a format that lanes speak."""

import re
from collections.abc import Mapping
from typing import Any, Final

from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation import anthropic_answers as answers
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.anthropic_options import write_options
from signalbox_proxy.translation.anthropic_writing import (
    bound_cache_points,
    write_messages,
    write_system,
)
from signalbox_proxy.translation.contract import EventReader, Untranslatable
from signalbox_proxy.translation.conversation import Conversation
from signalbox_proxy.translation.written_text import Wording, text_bytes
from signalbox_snapshot.snapshot import Lane, WireFormat

MIN_BUDGET: Final = 1024
"""Fewest tokens of thinking that the API takes."""

_ONLY_BUDGETS: Final = re.compile(
    r"claude-(?:3|(?:opus|sonnet)-4(?:-[015])?(?:$|-2|[@:])|haiku-4)", re.ASCII
)
"""Models that know thinking by a budget of tokens, and no effort: those before adaptive thinking.
Their number does not grow."""

_THINKS_NOT: Final = re.compile(r"claude-3(?!-7)", re.ASCII)

_SHARE: Final = {"low": 20, "medium": 50, "high": 80, "xhigh": 90, "max": 95}
"""Percent of the output limit that an effort may take as a budget."""


_WORDING: Final = Wording(
    json=frozenset({"input", "input_schema", "schema"}),
    apart=frozenset({"image", "cache_control", "stop_sequences", "metadata", "display", "effort"}),
)


class AnthropicProvider:
    """The format object; see `contract.ProviderFormat`."""

    name: WireFormat = "anthropic"

    def write(self, conversation: Conversation) -> dict[str, Any]:
        """The body without model, output limit and stream. Raises `Untranslatable`."""
        written = write_options(conversation)
        system = write_system(conversation.system)
        messages = write_messages(conversation.turns)
        bound_cache_points(written.get("tools", []), system, messages)
        if system:
            written["system"] = system
        written["messages"] = messages
        return written

    def text_bytes(self, written: dict[str, Any]) -> int:
        """Most tokens of the text that is sent."""
        return text_bytes(written, _WORDING)

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        """The bytes for one lane; the API takes no request without an output limit."""
        body = _with_thinking(written, lane, output_limit or 0)
        body["model"] = lane.upstream_model
        if output_limit is not None:
            body["max_tokens"] = output_limit
        if stream:
            body["stream"] = True
        if lane.service_tier:
            body["service_tier"] = lane.service_tier
        return encode_body(body)

    def model_obstacle(self, written: dict[str, Any], lane: Lane) -> Untranslatable | None:
        """What the lane's model cannot be told: see `contract.ModelDependent`."""
        if "effort" not in written.get("output_config", {}):
            return None
        if _THINKS_NOT.search(lane.upstream_model):
            return Untranslatable("reasoning_effort", f"{lane.upstream_model} does not think first")
        if _ONLY_BUDGETS.search(lane.upstream_model) and "thinking" not in written:
            why = f"{lane.upstream_model} does not think where a tool must be called"
            return Untranslatable("reasoning_effort", why)
        return None

    def path(self, lane: Lane, *, stream: bool) -> str:
        """Path below the lane's endpoint."""
        return governed.anthropic_path(lane, "/messages")

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        """All headers of the call.

        The version is the one that this module writes, whatever a client of another API sent.
        """
        headers = governed.anthropic_headers(client, lane, credential)
        return headers | {"anthropic-version": governed.DEFAULT_VERSION}

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer with a success status. Raises `Unreadable`."""
        return answers.read_message(body)

    def event_reader(self) -> EventReader:
        """A reader for one stream."""
        return answers.MessageEventReader()

    def error_message(self, body: bytes) -> str:
        """The sentence in an error's body, "" where there is none."""
        return answers.error_message(body)


def _with_thinking(written: dict[str, Any], lane: Lane, output_limit: int) -> dict[str, Any]:
    """A copy in which the lane's model is asked to think as it can be asked.

    A budget lies below the output limit, whatever room a budget of money left for that; where
    the least one does not fit, the model answers without thinking first.
    """
    body = dict(written)
    thinking = body.get("thinking", {})
    budget = thinking.get("budget_tokens")
    is_old = _ONLY_BUDGETS.search(lane.upstream_model) is not None
    if is_old:
        effort, config = _take_effort(body)
        if config:
            body["output_config"] = config
        if thinking.get("type") == "adaptive":
            budget = output_limit * _SHARE.get(effort, _SHARE["high"]) // 100
    if budget is None:
        return body
    budget = min(max(budget, MIN_BUDGET), output_limit - 1)
    del body["thinking"]
    if budget >= MIN_BUDGET:
        display = {} if is_old else {"display": thinking["display"]}
        body["thinking"] = {"type": "enabled", "budget_tokens": budget} | display
    return body


def _take_effort(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The effort, and the other members of `output_config`, which is taken out of the body."""
    config = dict(body.pop("output_config", {}))
    return config.pop("effort", ""), config


ANTHROPIC = AnthropicProvider()

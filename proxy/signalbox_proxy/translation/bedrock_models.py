"""What Converse leaves to each model's own fields (`additionalModelRequestFields`), by vendor.

Documented are: `top_k` and `thinking` of Anthropic's models, `inferenceConfig.topK` and
`reasoningConfig` of Amazon Nova, `reasoning_effort` of OpenAI's open-weight models (Amazon Bedrock
User Guide, "Inference request parameters and response fields for foundation models"; Amazon Nova
User Guide). A vendor is told by the model's id; behind the ARN of an application's own inference
profile none can be told. What a vendor has no documented field for is no lane for the request.
"""

import re
from typing import Any, Final, Literal

import msgspec

from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import Conversation, Reasoning

Vendor = Literal["anthropic", "nova", "openai", "other"]

_MARKS: Final[tuple[tuple[str, Vendor], ...]] = (
    ("anthropic.", "anthropic"),
    ("amazon.nova", "nova"),
    ("openai.", "openai"),
)
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
"""What `outputConfig.effort` takes; higher than high with thinking only."""

_KNOWN: Final[dict[Vendor, frozenset[str]]] = {
    "nova": frozenset({"none", "low", "medium"}),
    "openai": frozenset({"low", "medium", "high"}),
}
"""Efforts by vendor. Nova takes high only where no `maxTokens` bounds the bill (Amazon Nova User
Guide, "Extended thinking"), and a bound is always sent."""

MIN_BUDGET: Final = 1024
"""Fewest tokens of thinking that Anthropic's models take."""

_ONLY_BUDGETS: Final = re.compile(
    r"claude-(?:3|(?:opus|sonnet)-4(?:-[015])?(?:$|-2|-v|[@:])|haiku-4)", re.ASCII
)
"""Anthropic's models before adaptive thinking: they know a budget of tokens, and no effort."""

_THINKS_NOT: Final = re.compile(r"claude-3(?!-7)", re.ASCII)

_SHARE: Final = {"minimal": 10, "low": 20, "medium": 50, "high": 80, "xhigh": 90, "max": 95}
"""Percent of the output limit that an effort may take as a budget."""


class Wishes(msgspec.Struct, frozen=True):
    """What of a conversation is written by vendor."""

    top_k: int | None
    reasoning: Reasoning | None
    is_forced: bool
    temperature: float | None

    @classmethod
    def of(cls, conversation: Conversation) -> "Wishes":
        """Those of a conversation."""
        choice = conversation.tool_choice
        return cls(
            top_k=conversation.sampling.top_k,
            reasoning=conversation.reasoning,
            is_forced=choice is not None and choice.mode in ("required", "tool"),
            temperature=conversation.sampling.temperature,
        )


def vendor_of(model: str) -> Vendor:
    """Who made the model of an id, the id of an inference profile, or an ARN of either."""
    for mark, vendor in _MARKS:
        if mark in model:
            return vendor
    return "other"


def obstacle(wishes: Wishes, model: str) -> Untranslatable | None:
    """What of these wishes a model cannot be told, None if all of it can."""
    vendor = vendor_of(model)
    if wishes.top_k is not None and vendor not in ("anthropic", "nova"):
        return Untranslatable("top_k", "no field is documented for it on this model")
    reasoning = wishes.reasoning
    if reasoning is None:
        return None
    if vendor == "anthropic":
        return _beside_thinking(wishes, reasoning, model)
    if reasoning.budget_tokens is not None:
        return Untranslatable("thinking", "this model knows no budget of tokens")
    if reasoning.effort in _KNOWN.get(vendor, _EFFORTS):
        return None
    if vendor == "nova" and reasoning.effort == "high":
        why = "Nova takes high only without the output limit that bounds the bill"
        return Untranslatable("reasoning_effort", why)
    asked = reasoning.effort or "adaptive"
    return Untranslatable("reasoning_effort", f"no field is documented for {asked} on this model")


def _beside_thinking(wishes: Wishes, reasoning: Reasoning, model: str) -> Untranslatable | None:
    """What Anthropic's models do not know, and what they refuse beside thinking."""
    if reasoning.effort == "none":
        return None
    if _THINKS_NOT.search(model):
        return Untranslatable("reasoning_effort", "this model does not think first")
    if wishes.is_forced:
        if reasoning.budget_tokens is not None or _ONLY_BUDGETS.search(model):
            return Untranslatable("tool_choice", "this model forces no call of a tool and thinks")
        return None
    if wishes.top_k is not None or wishes.temperature not in (None, 1):
        return Untranslatable("temperature", "this model draws its thoughts its own way only")
    return None


def additional_fields(wishes: Wishes, model: str, output_limit: int | None) -> dict[str, Any]:
    """`additionalModelRequestFields` for a model that can be told them."""
    vendor = vendor_of(model)
    fields: dict[str, Any] = {}
    if wishes.top_k is not None:
        nova = {"inferenceConfig": {"topK": wishes.top_k}}
        fields |= nova if vendor == "nova" else {"top_k": wishes.top_k}
    reasoning = wishes.reasoning
    if reasoning is None:
        return fields
    if vendor == "anthropic":
        fields |= _thinking(wishes, reasoning, model, output_limit or 0)
    elif vendor == "nova":
        off = reasoning.effort == "none"
        on = {"type": "enabled", "maxReasoningEffort": reasoning.effort}
        fields["reasoningConfig"] = {"type": "disabled"} if off else on
    elif vendor == "openai":
        fields["reasoning_effort"] = reasoning.effort
    return fields


def effort_of(wishes: Wishes, model: str) -> str | None:
    """`outputConfig.effort` for a model that can be told it."""
    effort = wishes.reasoning.effort if wishes.reasoning is not None else None
    if vendor_of(model) not in ("anthropic", "other") or _ONLY_BUDGETS.search(model):
        return None
    if effort == "minimal":
        return "low"
    return effort if effort in _EFFORTS else None


def takes_cache_points_in_tools(model: str) -> bool:
    """Whether tools may be cached: Amazon Nova caches system prompts and messages only."""
    return vendor_of(model) != "nova"


def _thinking(
    wishes: Wishes, reasoning: Reasoning, model: str, output_limit: int
) -> dict[str, Any]:
    """As the model can be asked to think.

    A budget lies below the output limit, whatever room a budget of money left for that; where the
    least one does not fit, the model answers without thinking first.
    """
    if reasoning.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if wishes.is_forced:
        return {}
    budget = reasoning.budget_tokens
    if budget is None:
        if not _ONLY_BUDGETS.search(model):
            display = "summarized" if reasoning.visible else "omitted"
            return {"thinking": {"type": "adaptive", "display": display}}
        budget = output_limit * _SHARE[reasoning.effort or "high"] // 100
    budget = min(max(budget, MIN_BUDGET), output_limit - 1)
    if budget < MIN_BUDGET:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}

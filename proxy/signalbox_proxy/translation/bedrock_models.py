"""What Converse leaves to each model's own fields (`additionalModelRequestFields`), by vendor.

Documented are: `top_k` and `thinking` of Anthropic's models, `inferenceConfig.topK` and
`reasoningConfig` of Amazon Nova, `reasoning_effort` of OpenAI's open-weight models (Amazon Bedrock
User Guide, "Inference request parameters and response fields for foundation models"; Amazon Nova
User Guide). A vendor is told by the model's id; behind the ARN of an application's own inference
profile none can be told. What a vendor has no documented field for is no lane for the request.
"""

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

_THREE_EFFORTS: Final = frozenset({"low", "medium", "high"})


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
    if not _can_reason(reasoning, vendor):
        asked = reasoning.effort or ("a budget" if reasoning.budget_tokens else "adaptive")
        return Untranslatable("reasoning", f"this model has no field for it ({asked})")
    if vendor == "anthropic" and reasoning.effort != "none":
        return _beside_thinking(wishes)
    return None


def _can_reason(reasoning: Reasoning, vendor: Vendor) -> bool:
    effort = reasoning.effort
    if vendor == "anthropic":
        return effort != "minimal"
    if reasoning.budget_tokens is not None:
        return False
    if vendor == "nova":
        return effort in _THREE_EFFORTS or effort == "none"
    return effort in (_THREE_EFFORTS if vendor == "openai" else _EFFORTS)


def _beside_thinking(wishes: Wishes) -> Untranslatable | None:
    """What Anthropic's models refuse beside thinking."""
    why = "does not go with reasoning on this model"
    if wishes.top_k is not None:
        return Untranslatable("top_k", why)
    if wishes.temperature not in (None, 1):
        return Untranslatable("temperature", why)
    return Untranslatable("tool_choice", f"a forced tool {why}") if wishes.is_forced else None


def additional_fields(wishes: Wishes, model: str) -> dict[str, Any]:
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
        fields["thinking"] = _thinking(reasoning)
    elif vendor == "nova":
        off = reasoning.effort == "none"
        fields["reasoningConfig"] = (
            {"type": "disabled"}
            if off
            else {"type": "enabled", "maxReasoningEffort": reasoning.effort}
        )
    elif vendor == "openai":
        fields["reasoning_effort"] = reasoning.effort
    return fields


def effort_of(wishes: Wishes, model: str) -> str | None:
    """`outputConfig.effort` for a model that can be told it."""
    effort = wishes.reasoning.effort if wishes.reasoning is not None else None
    said = vendor_of(model) in ("anthropic", "other") and effort in _EFFORTS
    return effort if said else None


def _thinking(reasoning: Reasoning) -> dict[str, Any]:
    if reasoning.budget_tokens is not None:
        return {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    if reasoning.effort == "none":
        return {"type": "disabled"}
    return {"type": "adaptive", "display": "summarized" if reasoning.visible else "omitted"}

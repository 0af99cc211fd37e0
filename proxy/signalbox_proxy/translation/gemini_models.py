"""What differs between Gemini models, decided by the lane's upstream model.

Gemini 1 and 2 know no ids of calls, no images inside a result and no thinking levels. Budgets of
the levels, and which models always think, are those of Google's guide on OpenAI compatibility.
"""

import re
from typing import Any, Final

from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.gemini_contents import UNSIGNED

_OLDER: Final = re.compile(r"gemini-[12](?![0-9])")
_OLDEST: Final = re.compile(r"gemini-(?:1|2\.0)(?![0-9])")
_UP_TO_HIGH: Final = re.compile(r"gemini-[123](?![0-9])")
_ALWAYS_THINKS: Final = re.compile(r"gemini-(?:2\.5-pro|[3-9]|[1-9][0-9])")
_BUDGETS: Final = {
    "MINIMAL": 1024,
    "LOW": 1024,
    "MEDIUM": 8192,
    "HIGH": 24576,
}
_LEAST: Final = ((_ALWAYS_THINKS, 128), (re.compile(r"gemini-2\.5-flash-lite"), 512))
"""Fewest tokens of a budget that is not 0, on models that have such a bound (Google's guide on
thinking, "Thinking budgets")."""


def obstacle(written: dict[str, Any], model: str) -> Untranslatable | None:
    """What of a request this model does not know."""
    name = model.rpartition("/")[2]
    settings = written.get("generationConfig", {})
    thinking = settings.get("thinkingConfig")
    if thinking and thinking.get("thinkingBudget") == 0 and _ALWAYS_THINKS.match(name):
        return Untranslatable("reasoning_effort", "this model cannot leave thinking out")
    if thinking and thinking.get("thinkingLevel") == "XHIGH" and _UP_TO_HIGH.match(name):
        return Untranslatable("reasoning_effort", "this model knows no effort above high")
    if not _OLDER.match(name):
        return None
    if "tools" in written and "responseMimeType" in settings:
        return Untranslatable("response_format", "this model keeps to no form beside tools")
    if not _OLDEST.match(name):
        return None
    if thinking and thinking.get("thinkingBudget") != 0:
        return Untranslatable("reasoning_effort", "this model does not think")
    if any("fileData" in part for content in written["contents"] for part in content["parts"]):
        return Untranslatable("messages", "this model fetches no images")
    return None


def adapted(written: dict[str, Any], model: str, output_limit: int | None) -> dict[str, Any]:
    """The body as this model takes it; `written` is not changed."""
    body = _in_its_words(written, model)
    settings = body.get("generationConfig", {})
    thinking = settings.get("thinkingConfig", {})
    if output_limit is None or "thinkingBudget" not in thinking:
        return body
    budget = _below(output_limit, thinking["thinkingBudget"], model.rpartition("/")[2])
    thinking = {**thinking, "thinkingBudget": budget}
    return {**body, "generationConfig": {**settings, "thinkingConfig": thinking}}


def _below(output_limit: int, budget: int, model: str) -> int:
    """A budget of thinking that leaves room for an answer.

    Where the least one does not fit, the model answers without thinking first; one that cannot is
    told its least.
    """
    budget = min(budget, max(output_limit - 1, 0))
    least = next((tokens for models, tokens in _LEAST if models.match(model)), 0)
    if budget >= least:
        return budget
    return least if _ALWAYS_THINKS.match(model) else 0


def _in_its_words(written: dict[str, Any], model: str) -> dict[str, Any]:
    if not _OLDER.match(model.rpartition("/")[2]):
        return written
    older = dict(written)
    older["contents"] = [_content(content) for content in written["contents"]]
    settings = written.get("generationConfig", {})
    thinking = settings.get("thinkingConfig", {})
    if _OLDEST.match(model.rpartition("/")[2]):
        older["generationConfig"] = {k: v for k, v in settings.items() if k != "thinkingConfig"}
    elif "thinkingLevel" in thinking:
        budget = _BUDGETS[thinking["thinkingLevel"]]
        thinking = {"includeThoughts": thinking["includeThoughts"], "thinkingBudget": budget}
        older["generationConfig"] = {**settings, "thinkingConfig": thinking}
    return older


def _content(content: dict[str, Any]) -> dict[str, Any]:
    """One turn. Images of results follow behind all of them: the results are counted in a row."""
    parts, images, others = [], [], []
    for part in content["parts"]:
        if "functionResponse" in part:
            result = part["functionResponse"]
            images += result.get("parts", ())
            kept = {"name": result["name"], "response": result["response"]}
            parts.append({"functionResponse": kept})
        else:
            others.append(_part(part))
    return {"role": content["role"], "parts": [*parts, *images, *others]}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if "functionCall" not in part:
        return part
    call = {name: value for name, value in part["functionCall"].items() if name != "id"}
    signature = part.get("thoughtSignature", UNSIGNED)
    signed = {} if signature == UNSIGNED else {"thoughtSignature": signature}
    return {"functionCall": call, **signed}

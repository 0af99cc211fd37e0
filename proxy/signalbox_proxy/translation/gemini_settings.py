"""What a request says besides its turns, in the words of generateContent: tools and how to answer.

Source of the form: Google's API reference, "Tool", "FunctionCallingConfig", "GenerationConfig" and
"ThinkingConfig", with the guide on structured output for what schemas are held.
"""

from typing import Any, Final

from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import Conversation, Reasoning, Tool

LEVELS: Final = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
}
"""Efforts and the thinking levels of the same name."""

_OUTPUT_SCHEMA: Final = "response_format.json_schema.schema"
_MOST_STOPS: Final = 5
_MOST_SEED: Final = 2**31 - 1
_MODES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE", "tool": "ANY"}
_NAME_STARTS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_NAME: Final = _NAME_STARTS | frozenset("0123456789.:-")
_LONGEST_NAME: Final = 128

_BY_NAME: Final = frozenset({"properties", "$defs"})
_IN_A_LIST: Final = frozenset({"anyOf", "oneOf", "prefixItems"})
_WITHIN: Final = frozenset({"items", "additionalProperties"})
_HELD: Final = frozenset(
    {
        "$id", "$ref", "$anchor", "type", "format", "title", "description", "enum", "minItems",
        "maxItems", "minimum", "maximum", "required", "propertyOrdering",
    }
)  # fmt: skip
_REMARKS: Final = frozenset({"$schema", "$comment", "default", "examples", "deprecated"})


def tool_settings(conversation: Conversation) -> dict[str, Any]:
    """`tools` and `toolConfig`, as far as they say something.

    A strict tool is called by its schema in the modes ANY and VALIDATED alone, so that one of them
    is asked for. Raises `Untranslatable`.
    """
    tools = conversation.tools
    if not tools:
        return {}
    choice = conversation.tool_choice
    mode = _MODES[choice.mode] if choice else "AUTO"
    if conversation.parallel_tools is False and mode != "NONE":
        raise Untranslatable("parallel_tool_calls", "Gemini may call several tools at once")
    if mode == "AUTO" and any(tool.strict for tool in tools):
        mode = "VALIDATED"
    config: dict[str, Any] = {"mode": mode}
    if choice and choice.mode == "tool":
        config["allowedFunctionNames"] = [choice.name]
    written: dict[str, Any] = {
        "tools": [{"functionDeclarations": [_declaration(n, t) for n, t in enumerate(tools)]}]
    }
    if choice or mode != "AUTO":
        written["toolConfig"] = {"functionCallingConfig": config}
    return written


def _declaration(number: int, tool: Tool) -> dict[str, Any]:
    name = tool.name
    if not name or name[0] not in _NAME_STARTS or not _NAME.issuperset(name):
        raise Untranslatable(
            f"tools[{number}].name", "Gemini's names of tools begin with a letter or an underscore"
        )
    if len(name) > _LONGEST_NAME:
        raise Untranslatable(f"tools[{number}].name", "Gemini takes at most 128 characters")
    written: dict[str, Any] = {"name": name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema:
        schema = schema_for(tool.schema, f"tools[{number}].parameters", strict=tool.strict)
        written["parametersJsonSchema"] = schema
    return written


def generation_settings(conversation: Conversation) -> dict[str, Any]:
    """`generationConfig` without the output limit. Raises `Untranslatable`."""
    if conversation.choices != 1:
        raise Untranslatable("n", "Gemini gives one answer")
    if len(conversation.stop) > _MOST_STOPS:
        raise Untranslatable("stop", f"Gemini takes at most {_MOST_STOPS} stop sequences")
    sampling = conversation.sampling
    if sampling.seed is not None and not -_MOST_SEED - 1 <= sampling.seed <= _MOST_SEED:
        raise Untranslatable("seed", "Gemini takes seeds of 32 bits")
    told = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "frequencyPenalty": sampling.frequency_penalty,
        "presencePenalty": sampling.presence_penalty,
        "seed": sampling.seed,
        "stopSequences": list(conversation.stop) or None,
        "thinkingConfig": _thinking(conversation.reasoning) if conversation.reasoning else None,
    }
    written = {name: value for name, value in told.items() if value is not None}
    return written | _output(conversation)


def _output(conversation: Conversation) -> dict[str, Any]:
    output = conversation.output
    if output is None:
        return {}
    written: dict[str, Any] = {"responseMimeType": "application/json"}
    if output.schema is not None:
        schema = schema_for(output.schema, _OUTPUT_SCHEMA, strict=output.strict)
        written["responseJsonSchema"] = output.with_description(schema)
    return written


def _thinking(reasoning: Reasoning) -> dict[str, Any]:
    written: dict[str, Any] = {"includeThoughts": reasoning.visible}
    if reasoning.budget_tokens is not None:
        written["thinkingBudget"] = reasoning.budget_tokens
    elif reasoning.effort == "none":
        return {"includeThoughts": False, "thinkingBudget": 0}
    elif reasoning.effort is not None:
        if reasoning.effort not in LEVELS:
            raise Untranslatable("reasoning_effort", f"Gemini knows no effort {reasoning.effort}")
        written["thinkingLevel"] = LEVELS[reasoning.effort]
    return written


def schema_for(schema: Any, field: str, *, strict: bool) -> Any:
    """A JSON Schema as Gemini holds it: `const` becomes an `enum` of one.

    Raises `Untranslatable` where the client relies on a keyword that Gemini ignores.
    """
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for word, value in schema.items():
        below = f"{field}.{word}" if strict else field
        if word in _BY_NAME and isinstance(value, dict):
            written[word] = {
                name: schema_for(part, f"{below}.{name}"[:200] if strict else field, strict=strict)
                for name, part in value.items()
            }
        elif word in _IN_A_LIST and isinstance(value, list):
            written[word] = [schema_for(part, below, strict=strict) for part in value]
        elif word in _WITHIN:
            written[word] = schema_for(value, below, strict=strict)
        elif word == "const" and "enum" not in schema and _is_enumerable(value):
            written["enum"] = [value]
        elif strict and word not in _HELD and word not in _REMARKS:
            raise Untranslatable(below, "Gemini does not hold its answers to this")
        else:
            written[word] = value
    return written


def _is_enumerable(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)

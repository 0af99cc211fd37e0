"""What Google refuses in a generateContent request although its types are right."""

from __future__ import annotations

import base64
import binascii
import re

from .gemini_request import Content, FunctionCall, GeminiRequest, Part
from .refusals import Refusal
from .sheet import ModelSheet

FUNCTION_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
SKIPPED = "skip_thought_signature_validator"
SIGNED = b"signed "
"""How the simulator's own thought signatures begin, inside their base64."""


def invalid(message: str) -> Refusal:
    """Give a 400."""
    return Refusal(400, message)


def is_newer(model: ModelSheet) -> bool:
    """Tell whether the model is of the third generation: ids, signatures, thinking levels."""
    return "thinking_levels" in model.capabilities


def check(request: GeminiRequest, model: ModelSheet) -> None:
    """Apply all rules; raises Refusal for the first that is broken."""
    _check_settings(request, model)
    _check_thinking(request, model)
    _check_tools(request, model)
    instruction = request.system_instruction
    if instruction and any(part.text is None for part in instruction.parts or ()):
        raise invalid("The system instruction should only contain text parts.")
    for number, content in enumerate(request.contents):
        _check_content(content, f"contents[{number}]", model)
    _check_turns(request.contents, model)


def _check_settings(request: GeminiRequest, model: ModelSheet) -> None:
    settings = request.settings
    if settings.candidate_count not in (None, 1):
        raise invalid("Only one candidate can be specified in the current model")
    most = model.max_output_tokens + 1
    if settings.max_output_tokens is not None and settings.max_output_tokens >= most:
        raise invalid(
            f"Unable to submit request because it has a maxOutputTokens value of "
            f"{settings.max_output_tokens} but the supported range is from 1 (inclusive) to {most} "
            "(exclusive)."
        )
    if any(not stop for stop in settings.stop_sequences or ()):
        raise invalid("generation_config.stop_sequences: must not be empty")
    schemas = [settings.response_schema, settings.response_json_schema]
    if all(schema is not None for schema in schemas):
        raise invalid("Only one of response_schema and response_json_schema may be set.")
    is_json = settings.response_mime_type == "application/json"
    if any(schema is not None for schema in schemas) and not is_json:
        raise invalid("A response schema needs a response mime type of 'application/json'.")
    if is_json and request.declarations and not is_newer(model):
        raise invalid(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    if request.service_tier not in (None, "standard", *model.service_tiers):
        raise invalid(f"service_tier: {request.service_tier} is not offered for this model")


def _check_thinking(request: GeminiRequest, model: ModelSheet) -> None:
    config = request.settings.thinking_config
    if config is None:
        return
    if "thinking" not in model.capabilities:
        raise invalid("Thinking is not enabled for this model.")
    if config.thinking_level is not None:
        if config.thinking_budget is not None:
            raise invalid("You can only set only one of thinking budget and thinking level.")
        if not is_newer(model):
            raise invalid("Thinking level is not supported for this model.")
        if config.thinking_level.lower() not in model.reasoning_efforts:
            raise invalid(
                f"Thinking level {config.thinking_level} is not supported for this model."
            )
    if config.thinking_budget == 0 and is_newer(model):
        raise invalid("Budget 0 is invalid. This model only works in thinking mode.")


def _check_tools(request: GeminiRequest, model: ModelSheet) -> None:
    names = [declaration.name for declaration in request.declarations]
    if request.tools and "tools" not in model.capabilities:
        raise invalid("Function calling is not enabled for this model")
    for number, declaration in enumerate(request.declarations):
        where = f"tools[0].function_declarations[{number}]"
        if not FUNCTION_NAME.match(declaration.name):
            raise invalid(f"Invalid function name at {where}.name: {declaration.name[:150]}")
        if declaration.parameters is not None and declaration.parameters_json_schema is not None:
            raise invalid(f"{where}: parameters and parameters_json_schema exclude each other")
        schema = declaration.parameters_json_schema
        if schema is not None and schema.get("type", "object") != "object":
            raise invalid(f"{where}.parameters_json_schema: schema must be an object")
    if len(set(names)) < len(names):
        raise invalid("Duplicate function declaration found.")
    _check_calling(request, names)


def _check_calling(request: GeminiRequest, names: list[str]) -> None:
    calling = request.calling
    if calling.mode in ("ANY", "VALIDATED") and not names:
        raise invalid("Function calling mode needs function declarations.")
    if calling.allowed_function_names:
        if calling.mode not in ("ANY", "VALIDATED"):
            raise invalid("allowed_function_names is set although mode is not ANY.")
        unknown = set(calling.allowed_function_names) - set(names)
        if unknown:
            raise invalid(f"allowed_function_names: {min(unknown)} is not declared")


def _check_content(content: Content, where: str, model: ModelSheet) -> None:
    if content.role not in ("user", "model"):
        raise invalid("Please use a valid role: user, model.")
    if not content.parts:
        raise invalid(f"{where}.parts must not be empty")
    for number, part in enumerate(content.parts):
        place = f"{where}.parts[{number}]"
        if len(part.kinds) != 1:
            raise invalid(f"{place}: required oneof field 'data' must have one initialized field")
        if part.text == "" and part.thought_signature is None:
            raise invalid("Unable to submit request because it must have a text parameter.")
        _check_owner(part, content.role == "model", place)
        if not is_newer(model):
            _check_older(part, place)
        if part.thought_signature is not None:
            _check_signature(part.thought_signature, place)


def _check_owner(part: Part, is_model: bool, place: str) -> None:
    if part.function_call is not None and not is_model:
        raise invalid(f"{place}: function calls belong to the role model")
    if part.function_response is not None and is_model:
        raise invalid(f"{place}: function responses belong to the role user")
    if part.inline_data is not None and is_model:
        raise invalid(f"{place}: inline data belongs to the role user")


def _check_older(part: Part, place: str) -> None:
    for name, value in (
        ("function_call", part.function_call),
        ("function_response", part.function_response),
    ):
        if value is not None and value.id is not None:
            raise invalid(
                f"Invalid JSON payload received. Unknown name \"id\" at '{place}.{name}': Cannot "
                "find field."
            )
    if part.function_response is not None and part.function_response.parts:
        raise invalid(f"{place}: multimodal function responses are not supported by this model")


def _check_signature(signature: str, place: str) -> None:
    """Take the simulator's own signatures and the one that Google names for foreign calls."""
    if signature == SKIPPED:
        return
    try:
        content = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content.startswith(SIGNED):
        raise invalid(f"{place}: Thought signature is not valid.")


def _check_turns(contents: list[Content], model: ModelSheet) -> None:
    calls: list[FunctionCall] = []
    step_begins = _current_turn(contents)
    for number, content in enumerate(contents):
        parts = content.parts or []
        responses = [p.function_response for p in parts if p.function_response is not None]
        if len(responses) != len(calls):
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
        for call, response in zip(calls, responses, strict=True):
            if call.name != response.name or call.id != response.id:
                raise invalid("A function response does not match the function call before it.")
        called = [part for part in parts if part.function_call is not None]
        if called and number == 0:
            raise invalid(
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
        if called and is_newer(model) and number > step_begins:
            _check_signed(called[0], number)
        calls = [p.function_call for p in called if p.function_call is not None]
    if contents[-1].role != "user":
        raise invalid(
            "Please ensure that multiturn requests end with a user role or a function response."
        )


def _current_turn(contents: list[Content]) -> int:
    """Give where the current turn begins: at the last user content that is no function response."""
    for number in range(len(contents) - 1, -1, -1):
        content = contents[number]
        if content.role == "user" and not any(p.function_response for p in content.parts or ()):
            return number
    return 0


def _check_signed(part: Part, number: int) -> None:
    if part.thought_signature is None and part.function_call is not None:
        raise invalid(
            f"Function call is missing a thought_signature in functionCall parts. Additional data, "
            f"function call `default_api:{part.function_call.name}`, position {number + 1}."
        )

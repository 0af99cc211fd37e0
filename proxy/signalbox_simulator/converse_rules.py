"""What Bedrock refuses in a Converse request although its types are right."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from .chat_rules import check_strict_schema
from .converse_blocks import Block, CachePoint, Document, Image, Message, ResultContent, ToolResult
from .converse_request import ConverseRequest
from .prompt import Prompt
from .refusals import Refusal
from .sheet import ModelSheet
from .strict import decode

MAX_CACHE_POINTS = 4
MAX_IMAGES = 20
MAX_DOCUMENTS = 5
MAX_IMAGE_BYTES = 3_932_160
MAX_DOCUMENT_BYTES = 4_718_592
LEAST_BUDGET = 1024
ANTHROPIC_FIELDS = {"top_k", "thinking", "anthropic_beta"}
NOVA_FIELDS = {"inferenceConfig", "reasoningConfig"}


def invalid(message: str) -> Refusal:
    """Give a ValidationException."""
    return Refusal(400, message)


def sign(text: str) -> str:
    """Give what proves that reasoning came from here."""
    return base64.b64encode(hashlib.blake2b(text.encode(), key=b"converse").digest()).decode()


def check(request: ConverseRequest, name: str, model: ModelSheet) -> None:
    """Apply all rules; raises Refusal for the first that is broken."""
    _check_turns(request.messages)
    _check_calls(request.messages)
    _check_tools(request)
    _check_cache_points(request)
    _check_inference(request, model)
    _check_additional(request, name, model)
    _check_output(request, model)


def _check_turns(messages: list[Message]) -> None:
    if messages[0].role != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    for index, message in enumerate(messages):
        if index and messages[index - 1].role == message.role:
            raise invalid(
                f"A conversation must alternate between user and assistant roles. Make sure the "
                f"conversation alternates between user and assistant roles at messages.{index}."
            )
        if not message.content:
            raise invalid(
                f"The content field in the Message object at messages.{index} is empty. Add a "
                "ContentBlock object to the content field and try again."
            )
        for number, block in enumerate(message.content):
            _check_block(block, message.role, f"messages.{index}.content.{number}")
    _check_materials(messages)


def _check_block(block: Block, role: str, where: str) -> None:
    if block.text is not None and not block.text.strip():
        raise invalid(
            f"The text field in the ContentBlock object at {where} is blank. Add text to the text "
            "field, and try again."
        )
    users_own = block.image or block.document or block.tool_result
    if role == "assistant" and users_own:
        raise invalid(f"The block at {where} is not allowed in messages of the assistant.")
    if role == "user" and (block.tool_use or block.reasoning_content):
        raise invalid(f"The block at {where} is not allowed in messages of the user.")
    reasoning = block.reasoning_content
    if reasoning is not None and reasoning.reasoning_text is not None:
        said = reasoning.reasoning_text
        if said.signature != sign(said.text):
            raise invalid(f"{where}: Invalid `signature` in `thinking` block")
    if block.tool_result is not None and block.tool_result.status == "error":
        _check_error(block.tool_result, where)


def _check_error(result: ToolResult, where: str) -> None:
    if not result.content:
        raise invalid(
            f"The content field at {where}.toolResult cannot be empty when status value is error."
        )


def _materials(messages: list[Message]) -> Iterator[Image | Document]:
    for message in messages:
        for block in message.content:
            parts: list[Block | ResultContent] = [block]
            parts += block.tool_result.content if block.tool_result else []
            for part in parts:
                if part.image:
                    yield part.image
                elif part.document:
                    yield part.document


def _check_materials(messages: list[Message]) -> None:
    materials = list(_materials(messages))
    documents = [each for each in materials if isinstance(each, Document)]
    if len(materials) - len(documents) > MAX_IMAGES:
        raise invalid(f"You can include up to {MAX_IMAGES} images.")
    if len(documents) > MAX_DOCUMENTS:
        raise invalid(f"You can include up to {MAX_DOCUMENTS} documents.")
    names = [document.name for document in documents]
    if len(names) != len(set(names)):
        raise invalid("The documents of a request need names of their own.")
    for each in materials:
        limit = MAX_IMAGE_BYTES if isinstance(each, Image) else MAX_DOCUMENT_BYTES
        if len(each.source.bytes or "") * 3 // 4 > limit:
            raise invalid(f"A file is larger than {limit} bytes.")
    for index, message in enumerate(messages):
        has_document = any(block.document for block in message.content)
        if has_document and not any(block.text for block in message.content):
            raise invalid(f"The content at messages.{index} has a document and no text beside it.")


def _check_calls(messages: list[Message]) -> None:
    """Every toolUse needs its toolResult in the next message, and the other way round."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        results = [b.tool_result.tool_use_id for b in message.content if b.tool_result]
        if len(results) > len(waiting):
            raise invalid(
                f"The number of toolResult blocks at messages.{index}.content exceeds the number "
                "of toolUse blocks of previous turn."
            )
        missing = waiting - set(results)
        if missing or len(results) != len(set(results)):
            raise invalid(
                f"Expected toolResult blocks at messages.{index}.content for the following Ids: "
                f"{', '.join(sorted(missing))}"
            )
        calls = [b.tool_use.tool_use_id for b in message.content if b.tool_use]
        waiting = set(calls)
        if len(calls) != len(waiting):
            raise invalid(f"The toolUse blocks at messages.{index} have the same Ids.")
    if waiting:
        raise invalid(f"Expected toolResult blocks for the following Ids: {min(waiting)}")


def _check_tools(request: ConverseRequest) -> None:
    blocks = [block for message in request.messages for block in message.content]
    if request.tool_config is None:
        if any(block.tool_use or block.tool_result for block in blocks):
            raise invalid(
                "The toolConfig field must be defined when using toolUse and toolResult content "
                "blocks."
            )
        return
    names = [tool.name for tool in request.tools]
    if not names or len(names) != len(set(names)):
        raise invalid("The names of tools must be unique, and there must be one.")
    for tool in request.tools:
        if tool.input_schema.data.get("type") != "object":
            raise invalid(
                f"The value at toolConfig.tools.{tool.name}.toolSpec.inputSchema.json.type must "
                "be one of the following: object."
            )
        if tool.strict:
            check_strict_schema(tool.input_schema.data, "toolConfig", None)
    choice = request.tool_config.tool_choice
    if choice is not None and choice.tool is not None and choice.tool.name not in names:
        raise invalid(f"The tool {choice.tool.name} of toolChoice is not among the tools.")


def _points(request: ConverseRequest) -> Iterator[CachePoint]:
    """Cache points in the order in which prefixes are cached: tools, system, messages."""
    tools = request.tool_config.tools if request.tool_config else ()
    for part in (*tools, *(request.system or ())):
        if part.cache_point:
            yield part.cache_point
    for message in request.messages:
        for number, block in enumerate(message.content):
            if block.cache_point:
                if number == 0:
                    raise invalid("A cachePoint cannot be the first block of a message.")
                yield block.cache_point


def _check_cache_points(request: ConverseRequest) -> None:
    lifetimes = [point.ttl or "5m" for point in _points(request)]
    if len(lifetimes) > MAX_CACHE_POINTS:
        raise invalid(f"A maximum of {MAX_CACHE_POINTS} cache points may be provided.")
    if lifetimes != sorted(lifetimes):
        raise invalid("A cachePoint with ttl='1h' must not come after one with ttl='5m'.")


def _check_inference(request: ConverseRequest, model: ModelSheet) -> None:
    inference = request.inference_config
    wanted = inference.max_tokens if inference else None
    if wanted is not None and wanted > model.max_output_tokens:
        raise invalid(
            f"The maximum tokens you requested exceeds the model limit of "
            f"{model.max_output_tokens}. Try again with a maximum tokens value that is lower than "
            f"{model.max_output_tokens}."
        )


def _check_additional(request: ConverseRequest, name: str, model: ModelSheet) -> None:
    fields = request.additional_model_request_fields or {}
    known = ANTHROPIC_FIELDS if "anthropic." in name else NOVA_FIELDS if "nova" in name else set()
    unknown = set(fields) - known
    if unknown:
        raise invalid(
            "The model returned the following errors: Malformed input request: extraneous key "
            f"[{min(unknown)}] is not permitted, please reformat your input and try again."
        )
    if (thinking := request.thinking) is not None:
        _check_thinking(request, thinking, model)


def _check_thinking(
    request: ConverseRequest, thinking: dict[str, object], model: ModelSheet
) -> None:
    inference = request.inference_config
    budget = thinking.get("budget_tokens")
    if thinking.get("type") == "adaptive":
        if "adaptive_thinking" not in model.capabilities:
            raise invalid("thinking.type: adaptive is not supported on this model")
    elif thinking.get("type") != "enabled" or "thinking" not in model.capabilities:
        raise invalid("thinking: not supported on this model")
    elif not isinstance(budget, int) or budget < LEAST_BUDGET:
        raise invalid("thinking.enabled.budget_tokens: Input should be at least 1024")
    elif inference is None or inference.max_tokens is None or inference.max_tokens <= budget:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if inference is not None and inference.temperature not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if "top_k" in (request.additional_model_request_fields or {}):
        raise invalid("`top_k` must be unset when thinking is enabled.")
    if request.forced:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_output(request: ConverseRequest, model: ModelSheet) -> None:
    output = request.output_config
    if output is None:
        return
    if output.effort is not None and output.effort not in model.reasoning_efforts:
        raise invalid(f"outputConfig.effort: {output.effort} is not supported by this model")
    if output.text_format is not None:
        if "structured_output" not in model.capabilities:
            raise invalid("This model doesn't support the outputConfig.textFormat field.")
        check_strict_schema(output_schema(request) or {}, "outputConfig", None)


def output_schema(request: ConverseRequest) -> dict[str, object] | None:
    """Give the schema of the answer."""
    output = request.output_config
    if output is None or output.text_format is None:
        return None
    described = output.text_format.structure.json_schema
    return decode(described.text.encode()) if described else None


def check_length(prompt: Prompt, model: ModelSheet) -> None:
    """Refuse what is longer than the model's window."""
    if prompt.total > model.max_input_tokens:
        raise invalid(
            f"The model returned the following errors: prompt is too long: {prompt.total} tokens > "
            f"{model.max_input_tokens} maximum"
        )

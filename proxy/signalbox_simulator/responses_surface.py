"""``POST /v1/responses``: requests in, OpenAI's responses and named events out."""

from __future__ import annotations

from dataclasses import dataclass

from . import responses_prompt, responses_rules
from .behaviour import Effects
from .chat_request import JsonObjectResponse
from .chat_surface import REASONING
from .chat_tools import ANY_OBJECT
from .composition import Order, ToolWish, compose
from .openai_surface import unknown_model
from .prompt import Prompt
from .refusals import Refusal, openai_error
from .responses_answer import ResponsesAnswer
from .responses_request import FunctionTool, JsonSchemaText, NamedTool, ResponsesRequest
from .sheet import ModelSheet
from .strict import validate
from .structured import Schema
from .surface import EVENT_STREAM, Context, encoded, find_model


class ResponsesSurface:
    """The responses endpoint."""

    stream_type = EVENT_STREAM

    def read(self, document: dict[str, object], context: Context) -> ResponsesPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(ResponsesRequest, document)
        found = find_model(context, request.model)
        if found is None:
            raise unknown_model(request.model)
        name, model = found
        if model.kind != "chat":
            raise unknown_model(request.model)
        request = context.stored.continued(context.account, request)
        responses_rules.check(request, model, context.account)
        prompt = responses_prompt.meter(request, model, context.account)
        limit = responses_rules.output_limit(request, model, prompt)
        return ResponsesPending(request, name, model, prompt, limit, context)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give OpenAI's error body."""
        return encoded(openai_error(refusal))


@dataclass(frozen=True)
class ResponsesPending:
    """A metered request."""

    request: ResponsesRequest
    model: str
    section: ModelSheet
    prompt: Prompt
    limit: int
    context: Context

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return bool(self.request.stream)

    @property
    def last_user_text(self) -> str:
        """Where directives may stand."""
        return self.prompt.last_user_text

    @property
    def tier(self) -> str:
        """The service tier that is billed; raises Refusal for one that the model has not."""
        tier = self.request.service_tier
        if tier in (None, "auto", "default"):
            return "default"
        if tier not in self.section.service_tiers:
            raise Refusal(400, f"Invalid service_tier argument: '{tier}'.", param="service_tier")
        return str(tier)

    def compose(self, effects: Effects) -> ResponsesAnswer:
        """Compose the answer."""
        digest = self.context.digest(self.model, self.prompt)
        overshoot = effects.overshoot_tokens
        limit = self.limit + (overshoot or 0)
        choice = compose(
            Order(
                seed=digest,
                limit=limit,
                wanted=limit if overshoot else effects.tokens,
                shortest=self.context.answer_tokens[0],
                longest=self.context.answer_tokens[1],
                tools=self._wishes(effects),
                schema=self._schema(),
                reasoning=self._reasoning(),
            )
        )
        key = self.request.prompt_cache_key or ""
        kept = self.context.kept_by_itself(self.model, self.section, self.prompt, key=key)
        generated = {
            "output": choice.tokens,
            "reasoning": choice.reasoning,
        }
        usage = kept.model_copy(update=generated)
        served = self.section.served_as or self.model
        return ResponsesAnswer(
            self.request, served, self.tier, self.context, choice, usage, digest.hex()
        )

    def _reasoning(self) -> int:
        asked = self.request.reasoning
        effort = (asked.effort if asked else None) or self.section.default_effort
        return REASONING[effort] if effort and self.section.reasoning_efforts else 0

    def _schema(self) -> Schema | None:
        wanted = self.request.text.format if self.request.text else None
        if isinstance(wanted, JsonSchemaText):
            return wanted.schema_
        return ANY_OBJECT if isinstance(wanted, JsonObjectResponse) else None

    def _wishes(self, effects: Effects) -> tuple[ToolWish, ...]:
        choice = self.request.tool_choice
        tools = {
            tool.name: (tool.parameters or ANY_OBJECT) if isinstance(tool, FunctionTool) else None
            for tool in self.request.tools or ()
        }
        is_forced = choice == "required" or isinstance(choice, NamedTool)
        count = max(effects.call_tools or 0, 1 if is_forced else 0)
        if not tools or not count or choice == "none":
            return ()
        names = [choice.name] if isinstance(choice, NamedTool) else list(tools)
        if self.request.parallel_tool_calls is False:
            count = 1
        return tuple(ToolWish(name, tools[name]) for name in (names * count)[:count])

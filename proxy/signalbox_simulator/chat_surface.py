"""``POST /v1/chat/completions``: requests in, OpenAI's answers and chunks out."""

from __future__ import annotations

from dataclasses import dataclass

from . import chat_prompt, chat_rules
from .behaviour import Effects
from .chat_answer import ChatAnswer
from .chat_request import ChatRequest
from .chat_tools import tool_wishes, wanted_schema
from .composition import Order, compose
from .openai_surface import OpenaiSurface, billed_tier, served_model
from .prompt import Prompt
from .refusals import Refusal
from .sheet import ModelSheet
from .strict import validate
from .surface import Context

REASONING = {
    "none": 0,
    "minimal": 0,
    "low": 16,
    "medium": 48,
    "high": 128,
    "xhigh": 256,
    "max": 512,
}


class ChatSurface(OpenaiSurface):
    """The chat completions endpoint."""

    def read(self, document: dict[str, object], context: Context) -> ChatPending:
        """Validate and meter a request; raises Refusal."""
        for name, instead in context.sheet.hosts[context.host].unknown_fields.items():
            if name in document:
                raise Refusal(
                    422,
                    f"Extra inputs are not permitted: '{name}'. Use '{instead}' instead.",
                    param=name,
                    code="extra_forbidden",
                )
        request = validate(ChatRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "chat":
            raise Refusal(
                404,
                "This is not a chat model and thus not supported in the v1/chat/completions "
                "endpoint.",
                param="model",
            )
        chat_rules.check(request, model)
        prompt = chat_prompt.meter(request, model)
        limit = chat_rules.output_limit(request, model, prompt)
        return ChatPending(request, name, model, prompt, limit, context)


@dataclass(frozen=True)
class ChatPending:
    """A metered request. ``limit`` holds for each choice."""

    request: ChatRequest
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
        return billed_tier(self.request.service_tier, self.section)

    def compose(self, effects: Effects) -> ChatAnswer:
        """Compose all choices."""
        digest = self.context.digest(self.model, self.prompt, self.request.seed)
        overshoot = effects.overshoot_tokens
        limit = self.limit + (overshoot or 0)
        wanted = limit if overshoot else effects.tokens
        choices = tuple(
            compose(
                Order(
                    seed=digest + index.to_bytes(2, "big") if index else digest,
                    limit=limit,
                    wanted=wanted,
                    shortest=self.context.answer_tokens[0],
                    longest=self.context.answer_tokens[1],
                    stops=self.request.stops,
                    tools=tool_wishes(self.request, effects),
                    schema=wanted_schema(self.request),
                    reasoning=self._reasoning(),
                )
            )
            for index in range(self.request.n or 1)
        )
        key = self.request.prompt_cache_key or ""
        kept = self.context.kept_by_itself(self.model, self.section, self.prompt, key=key)
        generated = {
            "output": sum(choice.tokens for choice in choices),
            "reasoning": sum(choice.reasoning for choice in choices),
        }
        usage = kept.model_copy(update=generated)
        served = self.section.served_as or self.model
        return ChatAnswer(
            self.request, served, self.tier, self.context, choices, usage, digest.hex()
        )

    def _reasoning(self) -> int:
        effort = self.request.reasoning_effort or self.section.default_effort
        return REASONING[effort] if effort and self.section.reasoning_efforts else 0

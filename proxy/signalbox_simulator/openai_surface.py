"""What the endpoints of OpenAI's API share: finding a model, its service tiers, errors."""

from __future__ import annotations

from .refusals import Refusal, openai_error
from .sheet import ModelSheet
from .surface import EVENT_STREAM, Context, encoded, find_model


class OpenaiSurface:
    """Base of the endpoints; see ``surface.Surface``."""

    stream_type = EVENT_STREAM

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give OpenAI's error body."""
        return encoded(openai_error(refusal))


def unknown_model(name: str) -> Refusal:
    """Give the error for a model that the host does not serve."""
    return Refusal(
        404,
        f"The model `{name[:200]}` does not exist or you do not have access to it.",
        param="model",
        code="model_not_found",
    )


def served_model(context: Context, name: str) -> tuple[str, ModelSheet]:
    """Find a model at the context's host, of whatever kind; raises Refusal."""
    found = find_model(context, name)
    if found is None:
        raise unknown_model(name)
    return found


def billed_tier(asked: str | None, model: ModelSheet) -> str:
    """Give the service tier that is billed; raises Refusal for one that the model has not."""
    if asked in (None, "auto", "default"):
        return "default"
    if asked not in model.service_tiers:
        raise Refusal(
            400,
            f"Invalid service_tier argument: '{asked}' is not offered for this model.",
            param="service_tier",
            code="invalid_value",
        )
    return str(asked)

"""``POST /v1/messages/count_tokens``: how many tokens a message would have; nobody is billed."""

from __future__ import annotations

from . import messages_prompt, messages_rules
from .messages_request import MessagesRequest
from .messages_surface import MessagesSurface
from .refusals import Refusal
from .strict import validate
from .surface import Context, encoded, find_model

FIELDS = frozenset(
    {
        *("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"),
        *("cache_control", "speed", "user_profile_id", "workspace_id"),
    }
)


class CountTokensSurface(MessagesSurface):
    """The endpoint that counts."""

    def count(self, document: dict[str, object], context: Context) -> bytes:
        """Give the count; raises Refusal."""
        for name in document:
            if name not in FIELDS:
                raise Refusal(400, f"{name[:100]}: Extra inputs are not permitted")
        model = document.get("model")
        found = find_model(context, model) if isinstance(model, str) else None
        limit = found[1].max_output_tokens if found else 1
        request = validate(MessagesRequest, document | {"max_tokens": limit})
        if found is None:
            raise Refusal(404, f"model: {request.model[:200]}")
        messages_rules.check(request, found[1])
        return encoded({"input_tokens": messages_prompt.meter(request, found[1]).total})

"""``GET /v1/models`` and ``GET /v1/models/NAME`` in the shape of the host's vendor."""

from __future__ import annotations

from .refusals import Refusal
from .sheet import ModelSheet, Sheet
from .surface import encoded

CREATED = 1_754_524_800
CREATED_AT = "2025-08-07T00:00:00Z"


def list_models(sheet: Sheet, host: str, wanted: str | None) -> bytes:
    """Give one model or all of a host; raises Refusal (404) for one that it does not serve."""
    section = sheet.hosts[host]
    shape = _anthropic if "messages" in section.surfaces else _openai
    if wanted is not None:
        found = sheet.find(host, wanted)
        if found is None:
            raise Refusal(
                404, f"The model '{wanted[:200]}' does not exist.", code="model_not_found"
            )
        return encoded(shape(*found))
    entries = [shape(name, sheet.models[name]) for name in section.models]
    if shape is _openai:
        return encoded({"object": "list", "data": entries})
    identities = [entry["id"] for entry in entries]
    return encoded(
        {
            "data": entries,
            "has_more": False,
            "first_id": identities[0] if identities else None,
            "last_id": identities[-1] if identities else None,
        }
    )


def _openai(name: str, model: ModelSheet) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": model.owner}


def _anthropic(name: str, model: ModelSheet) -> dict[str, object]:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_output_tokens,
    }

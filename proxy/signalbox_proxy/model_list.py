"""`GET /v1/models`: the models that an agent may use, in the shape of the SDK that asks.

Nothing leaves for a provider, so no run is written. Pure.
"""

from collections.abc import Mapping
from typing import Any

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedAgent, PreparedModel, Runtime
from signalbox_snapshot.snapshot import WireFormat

EPOCH = "1970-01-01T00:00:00Z"
"""Creation times are not known; both SDKs demand one."""


def model_list(runtime: Runtime, agent: PreparedAgent, shape: WireFormat) -> dict[str, Any]:
    """The list of all models that `agent` may use, sorted by name."""
    models = sorted(
        (model for model in runtime.models.values() if _may_use(agent, model)),
        key=lambda model: model.model.name,
    )
    data = [_entry(model, shape) for model in models]
    if shape == "openai":
        return {"object": "list", "data": data}
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def one_model(
    runtime: Runtime, agent: PreparedAgent, name: str, shape: WireFormat
) -> dict[str, Any]:
    """One model by name or alias; `Refusal("model_not_found")` for any other."""
    model = runtime.models_by_name.get(name)
    if model is None or not _may_use(agent, model):
        raise Refusal(
            "model_not_found",
            f"There is no model {name[:64]!r} that agent {agent.agent.id} may use. "
            "GET /v1/models lists them.",
            "model",
        )
    return _entry(model, shape)


def shape_of(headers: Mapping[str, str]) -> WireFormat:
    """Which SDK asks: Anthropic's always sends its version."""
    return "anthropic" if "anthropic-version" in headers else "openai"


def _may_use(agent: PreparedAgent, model: PreparedModel) -> bool:
    return agent.models is None or model.model.id in agent.models


def _entry(model: PreparedModel, shape: WireFormat) -> dict[str, Any]:
    name = model.model.name
    if shape == "openai":
        return {"id": name, "object": "model", "created": 0, "owned_by": "signalbox"}
    shown = model.model.display_name or name
    return {"type": "model", "id": name, "display_name": shown, "created_at": EPOCH}

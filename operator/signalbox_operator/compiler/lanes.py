"""Lanes: `from` is resolved, prices become integers, endpoints can point to the simulator."""

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from signalbox_api.lane import Lane, LaneClass, WireFormat
from signalbox_api.lane_auth import AuthType, LaneAuth
from signalbox_api.model import Capability, ModelSpec
from signalbox_api.price import LanePrice
from signalbox_operator.compiler.conversion import sensitivity
from signalbox_operator.compiler.prices import lane_prices
from signalbox_snapshot import snapshot as wire

_Value = TypeVar("_Value")

_OPENAI = "openai"
_DEFAULT_TIMEOUT_S = 600
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
"""What Entra tokens for Azure OpenAI are for, as Microsoft's reference gives it."""


_ANSWERS: Final[Mapping[Capability, wire.UnitMeter]] = {
    Capability.IMAGE_GENERATION: "images",
    Capability.TRANSCRIPTION: "audio_seconds",
}
"""What is put out, and billed by output tokens where its unit has no price."""


def build_lanes(spec: ModelSpec, simulate_url: str | None) -> list[wire.Lane]:
    """All lanes of a model, in the order written."""
    by_name = {lane.name: lane for lane in spec.lanes}
    return [
        _build(spec, _inherited(lane, by_name.get(lane.from_lane or "")), lane, simulate_url)
        for lane in spec.lanes
    ]


def _inherited(lane: Lane, source: Lane | None) -> Lane:
    """The lane with everything left out taken from its source; prices one by one."""
    if source is None:
        return lane
    stated = {name: getattr(lane, name) for name in type(lane).model_fields}
    taken = {
        name: getattr(source, name)
        for name, value in stated.items()
        if value is None and name != "from_lane"
    }
    if lane.price is not None and source.price is not None:
        own = lane.price.model_dump(exclude_none=True)
        prices = {name: getattr(lane.price, name) for name in own}
        taken["price"] = source.price.model_copy(update=prices)
    return lane.model_copy(update=taken)


def _build(spec: ModelSpec, lane: Lane, written: Lane, simulate_url: str | None) -> wire.Lane:
    chat = Capability.CHAT in spec.capabilities
    price: LanePrice | None = lane.price
    tokens = chat or Capability.EMBEDDINGS in spec.capabilities
    answers = {unit for able, unit in _ANSWERS.items() if able in spec.capabilities}
    prices = lane_prices(spec.price, price, chat=chat, tokens=tokens, answers=answers)
    lane_class = _stated(lane.lane_class)
    auth = _of_simulator(_stated(lane.auth)) if simulate_url else _stated(lane.auth)
    limit = lane.limits.request_timeout_seconds if lane.limits else None
    return wire.Lane(
        name=lane.name,
        lane_class=lane_class.value,
        provider=_stated(lane.provider),
        wire_format=_stated(lane.wire_format).value,
        upstream_model=_stated(lane.upstream_model),
        endpoint=_endpoint(_stated(lane.endpoint), simulate_url),
        auth=auth.type.value,
        auth_key=auth.key or "",
        identity=_identity(auth, _stated(lane.region)),
        region=_stated(lane.region),
        jurisdiction=_stated(lane.jurisdiction),
        max_sensitivity=sensitivity(_stated(lane.max_sensitivity).rank),
        list_price=prices.listed,
        price=prices.billed,
        multiplier_ppm=prices.multiplier_ppm,
        premium_ppm=prices.premium_ppm,
        output_limit_field=_output_limit_field(lane),
        responses_api=_responses_api(lane),
        api_version=lane.api_version or "",
        service_tier=_service_tier(lane, written) if chat else "",
        first_chunk_ms=lane.typical_first_chunk_ms,
        request_timeout_ms=1000 * (limit or _DEFAULT_TIMEOUT_S),
    )


def _of_simulator(auth: LaneAuth) -> LaneAuth:
    """The simulator is no cloud: who would sign in shows it a made-up key instead."""
    if auth.type in {AuthType.API_KEY, AuthType.NONE}:
        return auth
    return LaneAuth(type=AuthType.API_KEY, key=auth.key or simulated_key(auth.type))


def simulated_key(kind: AuthType) -> str:
    """Name of the simulator's key for lanes that sign in without one."""
    return f"simulated-{kind.value}"


def _identity(auth: LaneAuth, region: str) -> wire.Identity | None:
    """Whom the lane signs in as, with what its cloud demands filled in."""
    if auth.type in {AuthType.API_KEY, AuthType.NONE}:
        return None
    is_aws, is_azure = auth.type is AuthType.AWS, auth.type is AuthType.AZURE
    return wire.Identity(
        role=auth.role or "",
        region=(auth.region or region) if is_aws else "",
        service_account=auth.service_account or "",
        tenant=auth.tenant or "",
        client=auth.client or "",
        scope=(auth.scope or _AZURE_SCOPE) if is_azure else "",
    )


def _stated(value: _Value | None) -> _Value:
    """A field that every lane has once `from` is resolved, as the type's own rules demand."""
    if value is None:
        raise ValueError("a lane lacks a field that its type demands")
    return value


def _endpoint(endpoint: str, simulate_url: str | None) -> str:
    """With a simulator, `https://HOST/PATH` becomes `SIMULATOR/HOST/PATH`: one bill per host."""
    if simulate_url is None:
        return endpoint
    _, _, address = endpoint.partition("://")
    return f"{simulate_url.rstrip('/')}/{address}"


def _output_limit_field(lane: Lane) -> Literal["max_tokens", "max_completion_tokens"]:
    """OpenAI itself deprecates max_tokens, and its reasoning models refuse it."""
    if lane.output_limit_field is not None:
        return lane.output_limit_field.value
    return "max_completion_tokens" if lane.provider == _OPENAI else "max_tokens"


def _responses_api(lane: Lane) -> bool:
    """Many servers that speak OpenAI's chat completions have no responses."""
    if lane.responses_api is not None:
        return lane.responses_api
    return lane.provider == _OPENAI


def _service_tier(lane: Lane, written: Lane) -> str:
    """The tier whose price the lane states.

    Without the field, OpenAI takes the project's setting, which may be a dearer tier.
    """
    if written.service_tier is not None:
        return written.service_tier
    if lane.wire_format is WireFormat.OPENAI and lane.lane_class is LaneClass.FLEX:
        return "flex"
    if lane.service_tier is not None:
        return lane.service_tier
    standard = lane.lane_class in {LaneClass.PUBLIC, LaneClass.REGIONAL}
    return "default" if lane.provider == _OPENAI and standard else ""

"""What Signalbox itself reads or sets in requests: metadata keys, headers, credentials.

The same on every surface. Of a client's headers only those listed here go upstream; everything
that starts with `x-signalbox-` ends at the proxy.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from signalbox_proxy.surfaces.fields import invalid
from signalbox_snapshot.snapshot import Lane

PREFIX: Final = "x-signalbox-"
_BODY_PREFIXES: Final = ("signalbox_", "signalbox-", "x-signalbox-", "x_signalbox_")

DECLARABLE: Final = frozenset(
    {"workload", "sensitivity", "data-assets", "session", "user", "task", "pin"}
)
"""What a client may say about its request, by header or by metadata key."""

OPENAI_LIMITS: Final = ("max_tokens", "max_completion_tokens")
"""Fields of a chat completion that bound its output; a server honours one of them at least."""

USER_AGENT: Final = "signalbox"

DEFAULT_VERSION: Final = "2023-06-01"
"""`anthropic-version` where the client sends none, as Anthropic's reference shows it."""

_FORWARDED: Final = ("traceparent", "tracestate")
"""W3C trace context. No idempotency key: a replayed answer would be charged and not billed."""

_MAX_HEADER: Final = 1024


def take_metadata(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Part Signalbox's own keys from `metadata`.

    Gives the body without them (a copy where something was taken) and the taken values under
    their header names (`x-signalbox-workload`, ...). Raises `Refusal("invalid_request")` for
    a key that Signalbox does not know and for a value that is not a string.
    """
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not metadata:
        return body, {}
    taken: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for key, value in metadata.items():
        prefix = next((p for p in _BODY_PREFIXES if key.lower().startswith(p)), None)
        if prefix is None:
            kept[key] = value
            continue
        name = key.lower()[len(prefix) :].replace("_", "-")
        field = f"metadata.{key}"[:200]
        if name not in DECLARABLE:
            known = ", ".join(sorted(DECLARABLE))
            raise invalid(field, f"{field} is not known. Known are: {known}.")
        if not isinstance(value, str):
            raise invalid(field, f"{field} must be a string.")
        if taken.get(PREFIX + name, value) != value:
            raise invalid(field, f"{field} is given twice with different values. Send it once.")
        taken[PREFIX + name] = value
    if not taken:
        return body, {}
    body = dict(body)
    if kept:
        body["metadata"] = kept
    else:
        del body["metadata"]
    return body, taken


def common_headers(client: Mapping[str, str], *, stream_capable: bool) -> dict[str, str]:
    """Headers of an upstream call that no wire format changes."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream" if stream_capable else "application/json",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
    }
    for name in _FORWARDED:
        value = client.get(name)
        if value and is_header_value(value):
            headers[name] = value
    return headers


def openai_credential(lane: Lane, credential: str) -> dict[str, str]:
    """The header that authenticates to a provider of OpenAI's wire format.

    Azure's paths by deployment take a key in a header of their own.
    """
    if lane.auth != "apiKey":
        return {}
    if lane.api_version:
        return {"api-key": credential}
    return {"authorization": f"Bearer {credential}"}


def anthropic_credential(lane: Lane, credential: str) -> dict[str, str]:
    """The header that authenticates to a provider of Anthropic's wire format."""
    return {"x-api-key": credential} if lane.auth == "apiKey" else {}


def anthropic_headers(client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
    """Headers of a call in Anthropic's wire format; the client's version is passed on."""
    version = client.get("anthropic-version", "")
    is_usable = version and is_header_value(version)
    return {
        **common_headers(client, stream_capable=True),
        "anthropic-version": version if is_usable else DEFAULT_VERSION,
        **anthropic_credential(lane, credential),
    }


def is_header_value(value: str) -> bool:
    """Whether a client's header value may travel on: bounded, visible ASCII, no line breaks."""
    return len(value) <= _MAX_HEADER and value.isascii() and value.isprintable()


def write_openai_lane(
    body: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
) -> None:
    """Write into a chat completion's body what a lane and its quote decide.

    The limit goes into the field that the lane is known to honour, whichever of the two stood
    there: a field that a server ignores would leave the output without a bound. A tier that the
    client asked for becomes the lane's own.
    """
    body["model"] = lane.upstream_model
    for field in OPENAI_LIMITS:
        body.pop(field, None)
    if output_limit is not None:
        body[lane.output_limit_field] = output_limit
    if stream:
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    if body.get("store") is not True and knows_openais_fields(lane):
        body["store"] = False
    write_openai_tier(body, lane)


def knows_openais_fields(lane: Lane) -> bool:
    """Whether a lane's server is known to take OpenAI's own fields, as `prompt_cache_key` and
    `store`; others answer an error to them."""
    return lane.provider in ("openai", "azure") and not lane.api_version


def write_cache_key(body: dict[str, Any], lane: Lane, cache_key: str) -> None:
    """Write the key under which a lane's server keeps prompts, where one is wanted and taken."""
    if cache_key and knows_openais_fields(lane):
        body["prompt_cache_key"] = cache_key


def write_openai_tier(body: dict[str, Any], lane: Lane) -> None:
    """Write the lane's service tier; the client's own would change the price."""
    if lane.service_tier:
        body["service_tier"] = lane.service_tier
    elif body.get("service_tier") is not None:
        body["service_tier"] = "default"


def openai_path(lane: Lane, resource: str) -> str:
    """Path below an endpoint, as OpenAI's SDKs build it from their base URL.

    An endpoint with a path of its own (`https://host/v1`, `https://host/openai/v1`) already
    names the version; a bare host gets `/v1`. With an `api_version` the path is Azure's by
    deployment (Azure OpenAI REST API reference, data plane).
    """
    if lane.api_version:
        deployment = quote(lane.upstream_model, safe="")
        version = quote(lane.api_version, safe="")
        return f"/openai/deployments/{deployment}{resource}?api-version={version}"
    rest = lane.endpoint.rstrip("/").partition("://")[2]
    return resource if "/" in rest else f"/v1{resource}"


def anthropic_path(lane: Lane, resource: str) -> str:
    """Path below an endpoint, as Anthropic's SDKs build it: `/v1` is theirs to add."""
    return resource if lane.endpoint.rstrip("/").endswith("/v1") else f"/v1{resource}"

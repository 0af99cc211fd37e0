"""What OpenAI's smaller surfaces share: a body with the lane's model, and no stream."""

from typing import Any

from signalbox_proxy.model_request import ModelRequest, Units
from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.chat_answers import ChatStreamReader
from signalbox_proxy.surfaces.contract import StreamReader
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.openai_surface import OpenaiSurface
from signalbox_proxy.surfaces.texts import Texts
from signalbox_snapshot.snapshot import Lane, WireFormat


class OpenAIShape(OpenaiSurface):
    """A carrier for lanes of OpenAI's wire format; subclasses parse requests and read answers."""

    wire_format: WireFormat = "openai"
    streams = False
    resource = ""
    """Path below an endpoint that names the API's version."""

    def upstream_path(self, lane: Lane) -> str:
        """Path below the lane's endpoint."""
        return governed.openai_path(lane, self.resource)

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane; there is no output limit to write."""
        return encode_body({**request.body, "model": lane.upstream_model})

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """Never streamed; a stream that came anyway is read as OpenAI's."""
        return ChatStreamReader(wants_usage=True, cache_write="none")


def unit_request(
    asked: Any, body: dict[str, Any], texts: Texts, units: Units, **facts: Any
) -> ModelRequest:
    """A request that may be billed by units; `facts` are the fields that differ from the usual."""
    return ModelRequest(
        **{
            "body": body,
            "model": asked.model,
            "stream": False,
            "wants_stream_usage": False,
            "text_bytes": texts.bytes,
            "texts": tuple(texts.collected),
            "messages": texts.messages,
            "tools": 0,
            "images": 0,
            "input_tokens": texts.input_tokens,
            "output_limit": None,
            "choices": 1,
            "tool_names": (),
            "cache_write": "none",
            "output_schema": None,
            "user": "",
            "units": units,
            **facts,
        }
    )

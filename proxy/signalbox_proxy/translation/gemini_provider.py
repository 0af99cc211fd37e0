"""Google's generateContent as a provider format: Gemini on AI Studio and on Vertex AI.

The two differ in the endpoint and in how a lane signs in, in nothing else. Thinking counts within
`maxOutputTokens` and is billed as output, so that the limit bounds all of it: docs/providers.md.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.contract import EventReader, Untranslatable
from signalbox_proxy.translation.conversation import Conversation
from signalbox_proxy.translation.gemini_answer import AnswerReader, GeminiEventReader
from signalbox_proxy.translation.gemini_contents import contents, system_instruction
from signalbox_proxy.translation.gemini_models import adapted, obstacle
from signalbox_proxy.translation.gemini_settings import generation_settings, tool_settings
from signalbox_proxy.translation.whole import folded
from signalbox_proxy.translation.written_text import Wording, text_bytes
from signalbox_proxy.unreadable import UNREADABLE
from signalbox_snapshot.snapshot import Lane, WireFormat

_PUBLISHER = "/publishers/google"
_WORDING: Final = Wording(
    json=frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema"}),
    apart=frozenset({"inlineData", "fileData", "stopSequences", "thinkingConfig"}),
)


class GeminiFormat:
    """See `contract.ProviderFormat` and `contract.ModelDependent`."""

    @property
    def name(self) -> WireFormat:
        """Its name in a lane."""
        return "gemini"

    def write(self, conversation: Conversation) -> dict[str, Any]:
        """The body without output limit and service tier. Raises `Untranslatable`.

        Cache points and the end user's name are left out: Gemini caches by itself, and neither
        changes an answer.
        """
        written: dict[str, Any] = {"contents": contents(conversation)}
        instruction = system_instruction(conversation)
        if instruction is not None:
            written["systemInstruction"] = instruction
        written |= tool_settings(conversation)
        settings = generation_settings(conversation)
        if settings:
            written["generationConfig"] = settings
        return written

    def text_bytes(self, written: dict[str, Any]) -> int:
        """Most tokens of the text that is sent."""
        return text_bytes(written, _WORDING)

    def model_obstacle(self, written: dict[str, Any], lane: Lane) -> Untranslatable | None:
        """What the model of a lane does not know."""
        return obstacle(written, lane.upstream_model)

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        """The bytes for one lane. Whether it streams stands in the path."""
        body = dict(adapted(written, lane.upstream_model, output_limit))
        if output_limit is not None:
            settings = body.get("generationConfig", {})
            body["generationConfig"] = {**settings, "maxOutputTokens": output_limit}
        if lane.service_tier:
            body["serviceTier"] = lane.service_tier
        return encode_body(body)

    def path(self, lane: Lane, *, stream: bool) -> str:
        """Below an endpoint of AI Studio (`…/v1beta`) or of Vertex (`…/projects/P/locations/L`)."""
        is_vertex = "/projects/" in lane.endpoint and _PUBLISHER not in lane.endpoint
        prefix = _PUBLISHER if is_vertex else ""
        method = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
        return f"{prefix}/models/{quote(lane.upstream_model, safe='')}{method}"

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        """All headers; a lane that signs in gets its bearer token from its signer."""
        headers = governed.common_headers(client, stream_capable=True)
        if lane.auth == "apiKey":
            headers["x-goog-api-key"] = credential
        return headers

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises `Unreadable`."""
        reader = AnswerReader()
        events = [*reader.take(body), *reader.end()]
        return folded(events, answer_id=reader.answer_id)

    def event_reader(self) -> EventReader:
        """A reader for one stream."""
        return GeminiEventReader()

    def error_message(self, body: bytes) -> str:
        """The sentence in Google's error body, which a streaming method may put into a list."""
        message = _error(body).get("message")
        return scrub(message)[:1000] if isinstance(message, str) else ""

    def is_lanes_own(self, body: bytes) -> bool:
        """A key that is not valid, a country or an account without service: Google says 400."""
        error = _error(body)
        details = error.get("details")
        reasons = [
            str(detail.get("reason"))
            for detail in (details if isinstance(details, list) else ())
            if isinstance(detail, dict)
        ]
        is_key = any(reason.startswith("API_KEY_") for reason in reasons)
        return is_key or error.get("status") == "FAILED_PRECONDITION"


def _error(body: bytes) -> dict[str, Any]:
    """The error of an error's body, {} where there is none."""
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE:
        return {}
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}


GEMINI = GeminiFormat()

"""Which form a streamed answer may have: events, or for some surfaces the sound itself. Pure."""

import re
from typing import Final

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces.contract import Carrier, StreamReader
from signalbox_proxy.surfaces.speech import SPEECH
from signalbox_proxy.surfaces.speech_events import SOUND_TYPES

EVENT_STREAM: Final = "text/event-stream; charset=utf-8"

_SOUND: Final = re.compile(r"audio/[a-z0-9.+-]{1,40}|application/octet-stream", re.ASCII)


def streamed_as(
    carrier: Carrier, request: ModelRequest, told: str
) -> tuple[StreamReader, str] | None:
    """What reads a stream of the Content-Type that the provider told, and the one that the client
    gets; None where that is not what was asked for, and so no answer.
    """
    if request.surface == "speech" and told.startswith("text/event-stream"):
        form = request.body.get("response_format") or "mp3"
        as_events = request.body.get("stream_format") == "sse"
        return SPEECH.event_reader(request), EVENT_STREAM if as_events else SOUND_TYPES[form]
    kind = _streamed_type(request, told)
    return (carrier.stream_reader(request), kind) if kind else None


def _streamed_type(request: ModelRequest, told: str) -> str:
    """The Content-Type that the client gets, by the provider's; "" where that is not what was
    asked for, and so no answer.

    Whatever a provider calls a stream of events is passed on as one; a transcript comes whole from
    models that do not stream.
    """
    if request.surface == "transcriptions" and told.startswith("application/json"):
        return "application/json"
    if request.surface != "speech":
        return EVENT_STREAM
    kind = told.partition(";")[0].strip().lower()
    return kind if _SOUND.fullmatch(kind) else ""

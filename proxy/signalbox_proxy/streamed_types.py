"""Which form a streamed answer may have: events, or for some surfaces the sound itself. Pure."""

import re
from typing import Final

from signalbox_proxy.model_request import ModelRequest

EVENT_STREAM: Final = "text/event-stream; charset=utf-8"

_SOUND: Final = re.compile(r"audio/[a-z0-9.+-]{1,40}|application/octet-stream", re.ASCII)


def streamed_type(request: ModelRequest, told: str) -> str:
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

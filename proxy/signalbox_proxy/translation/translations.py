"""One request in the words of other wire formats: read once, written once for each of them.

Made with the route decision and kept with it, so that a lane that loses for what its format cannot
say, and the call of one that wins, come from the same reading. Nothing is read before a lane of a
foreign format is looked at.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.surfaces import governed
from signalbox_proxy.translation.cache_placing import with_cache_points
from signalbox_proxy.translation.carrier import TranslatingCarrier
from signalbox_proxy.translation.contract import (
    ClientFormat,
    ModelDependent,
    ProviderFormat,
    Untranslatable,
)
from signalbox_proxy.translation.conversation import Conversation, Effort
from signalbox_proxy.translation.field_names import named_by
from signalbox_proxy.translation.formats import CLIENT_FORMATS, PROVIDER_FORMATS
from signalbox_proxy.wire_formats import is_translated
from signalbox_snapshot.snapshot import Lane, WireFormat


class Translations:
    """The translations of one request."""

    __slots__ = ("_clients", "_grown", "_providers", "_read", "_request", "_written")

    def __init__(
        self,
        request: ModelRequest,
        clients: Mapping[SurfaceName, ClientFormat] = CLIENT_FORMATS,
        providers: Mapping[WireFormat, ProviderFormat] = PROVIDER_FORMATS,
    ) -> None:
        self._request = request
        self._clients = clients
        self._providers = providers
        self._read: Conversation | Untranslatable | None = None
        self._written: dict[WireFormat, dict[str, Any] | Untranslatable] = {}
        self._grown: dict[WireFormat, int] = {}

    def exist(self, wire: WireFormat) -> bool:
        """Whether there is a translation to this format at all."""
        return self._request.surface in self._clients and wire in self._providers

    def obstacle(self, lane: Lane, *, reasons: bool = True) -> Untranslatable | None:
        """What of the request a lane's format or model cannot say, or None.

        Only for lanes of formats that `exist`. `reasons`: the model has the capability reasoning.
        """
        written = self._in(lane.wire_format)
        if isinstance(written, Untranslatable):
            return written
        if not reasons and self._effort() not in (None, "none"):
            why = "this model does not reason"
            return named_by(self._request.surface, Untranslatable("reasoning_effort", why))
        provider = self._providers[lane.wire_format]
        if isinstance(provider, ModelDependent):
            obstacle = provider.model_obstacle(written, lane)
            return None if obstacle is None else named_by(self._request.surface, obstacle)
        return None

    def grown_bytes(self, lane: Lane) -> int:
        """By how many bytes more than the client's text a translated lane's provider may bill.

        0 for a lane of the client's own format. Raises an `obstacle` of the lane's format.
        """
        if not is_translated(self._request, lane):
            return 0
        written = self._in(lane.wire_format)
        if isinstance(written, Untranslatable):
            raise written
        grown = self._grown.get(lane.wire_format)
        if grown is None:
            sent = self._providers[lane.wire_format].text_bytes(written)
            grown = self._grown[lane.wire_format] = max(0, sent - self._request.text_bytes)
        return grown

    def carrier(
        self, lane: Lane, answer_id: str, *, reasons: bool = True, places: bool = False
    ) -> TranslatingCarrier:
        """What carries the request to a lane without an `obstacle`; raises one of its format.

        A model that does not reason (`reasons`) is not told to leave it out: many know no such
        field. `places`: with cache points where the client set none.
        """
        written = self._in(lane.wire_format)
        if isinstance(written, Untranslatable):
            raise written
        read = told = self._conversation()
        if isinstance(told, Conversation):
            if not reasons and self._effort() == "none":
                told = msgspec.structs.replace(told, reasoning=None)
            if places:
                told = with_cache_points(told)
            if told is not read:
                written = self._providers[lane.wire_format].write(told)
        if lane.wire_format == "openai":
            written = dict(written)
            governed.write_cache_key(written, lane, self._request.cache_key)
        return TranslatingCarrier(
            client=self._clients[self._request.surface],
            provider=self._providers[lane.wire_format],
            written=written,
            stream=self._request.stream,
            answer_id=answer_id,
        )

    def _in(self, wire: WireFormat) -> dict[str, Any] | Untranslatable:
        written = self._written.get(wire)
        if written is None:
            written = self._written[wire] = self._write(wire)
        return written

    def _write(self, wire: WireFormat) -> dict[str, Any] | Untranslatable:
        conversation = self._conversation()
        if isinstance(conversation, Untranslatable):
            return conversation
        try:
            return self._providers[wire].write(conversation)
        except Untranslatable as obstacle:
            return named_by(self._request.surface, obstacle)

    def _effort(self) -> Effort | None:
        read = self._conversation()
        if isinstance(read, Untranslatable) or read.reasoning is None:
            return None
        return read.reasoning.effort

    def _conversation(self) -> Conversation | Untranslatable:
        if self._read is None:
            try:
                self._read = self._clients[self._request.surface].read(self._request.body)
            except Untranslatable as obstacle:
                self._read = obstacle
        return self._read

"""What the surfaces of OpenAI's API share: headers of a call, errors, a provider's own refusal."""

from collections.abc import Mapping

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import errors, governed
from signalbox_snapshot.snapshot import Lane


class OpenaiSurface:
    """Base of the surface objects; see `contract.Surface`."""

    streams = True
    """Whether answers may come as streams."""

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call."""
        headers = governed.common_headers(client, stream_capable=self.streams)
        return headers | governed.openai_credential(lane, credential)

    def rejection(self, status: int, body: bytes) -> Refusal:
        """A provider's own 4xx."""
        return errors.provider_rejection(status, body)

    def error(self, refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
        """A refusal in OpenAI's error shape."""
        return errors.openai_error(refusal, run_id)

    def stream_error(self, refusal: Refusal, run_id: str) -> bytes:
        """A refusal as the last event of a stream."""
        return errors.openai_stream_error(refusal, run_id)

"""The control port: the fleet's control plane pushes snapshots, peers pull them, both by token."""

from typing import Any

from aiohttp import web

from signalbox_proxy.configuration import Configuration, StaleError
from signalbox_proxy.control_files import ControlFiles
from signalbox_proxy.control_ledger import LedgerDesk
from signalbox_proxy.control_replies import control_json
from signalbox_snapshot import envelope as envelopes
from signalbox_snapshot.envelope import EnvelopeError

SNAPSHOT_PATH = "/control/v1/snapshot"
STATUS_PATH = "/control/v1/status"


def control_application(
    configuration: Configuration, files: ControlFiles, ledger: LedgerDesk
) -> web.Application:
    """The application of the control port."""
    port = ControlPort(configuration, files)
    application = web.Application(
        client_max_size=envelopes.MAX_BYTES, middlewares=[port.authenticated]
    )
    application.router.add_put(SNAPSHOT_PATH, port.put_snapshot)
    application.router.add_get(SNAPSHOT_PATH, port.get_snapshot)
    application.router.add_get(STATUS_PATH, port.get_status)
    ledger.add_to(application)
    return application


class ControlPort:
    """Handlers of the control port."""

    def __init__(self, configuration: Configuration, files: ControlFiles) -> None:
        self._configuration = configuration
        self._files = files

    @web.middleware
    async def authenticated(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Nothing without a token of the fleet's."""
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not self._files.trust.admits(sent):
            return control_json({"error": "the fleet's control token is needed"}, 401)
        response: web.StreamResponse = await handler(request)
        return response

    async def put_snapshot(self, request: web.Request) -> web.Response:
        """Accept a sealed snapshot, or say why not."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _rejected(415, "is compressed; send it as it is", "$")
        sealed = await request.read()
        try:
            envelope = await self._configuration.apply(sealed)
        except EnvelopeError as error:
            return _rejected(422, error.reason, error.path)
        except StaleError as error:
            return _rejected(409, error.reason, "$.generation")
        except OSError as error:
            # Not 422: it says something of this proxy, and nothing of the snapshot.
            return _rejected(507, f"cannot be kept on disk: {error.strerror}", "$")
        return control_json(
            {
                "accepted": True,
                "generation": envelope.generation,
                "version": envelope.version,
            }
        )

    async def get_snapshot(self, request: web.Request) -> web.Response:
        """The envelope in force."""
        sealed = self._configuration.sealed
        if not sealed:
            return control_json({"error": "this proxy has no snapshot yet"}, 404)
        return web.Response(body=sealed, content_type="application/json")

    async def get_status(self, request: web.Request) -> web.Response:
        """What this proxy runs."""
        return control_json(self._configuration.status() | {"trusts": self._files.told()})


def _rejected(status: int, reason: str, path: str) -> web.Response:
    return control_json({"accepted": False, "reason": reason, "path": path}, status)

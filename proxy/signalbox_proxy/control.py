"""The control port: the fleet's control plane pushes snapshots, peers pull them, both by token."""

import hmac
from typing import Any

import msgspec
from aiohttp import web

from signalbox_proxy.configuration import Configuration, StaleError
from signalbox_snapshot import envelope as envelopes
from signalbox_snapshot.envelope import EnvelopeError

SNAPSHOT_PATH = "/control/v1/snapshot"
STATUS_PATH = "/control/v1/status"


def control_application(configuration: Configuration) -> web.Application:
    """The application of the control port."""
    port = ControlPort(configuration)
    application = web.Application(
        client_max_size=envelopes.MAX_BYTES, middlewares=[port.authenticated]
    )
    application.router.add_put(SNAPSHOT_PATH, port.put_snapshot)
    application.router.add_get(SNAPSHOT_PATH, port.get_snapshot)
    application.router.add_get(STATUS_PATH, port.get_status)
    return application


class ControlPort:
    """Handlers of the control port."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._expected = f"Bearer {configuration.trust.token}".encode()

    @web.middleware
    async def authenticated(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Nothing without the fleet's token."""
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(sent, self._expected):
            return _json({"error": "the fleet's control token is needed"}, 401)
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
            return _rejected(422, f"cannot be kept on disk: {error.strerror}", "$")
        return _json(
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
            return _json({"error": "this proxy has no snapshot yet"}, 404)
        return web.Response(body=sealed, content_type="application/json")

    async def get_status(self, request: web.Request) -> web.Response:
        """What this proxy runs."""
        return _json(self._configuration.status())


def _rejected(status: int, reason: str, path: str) -> web.Response:
    return _json({"accepted": False, "reason": reason, "path": path}, status)


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document), status=status, content_type="application/json"
    )

"""How commands ask a running `up`: HTTP over the Unix socket in its state folder."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from signalbox_cli.failure import Failure
from signalbox_cli.state import StateFolder

TIMEOUT_S: Final = 10.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class UpClient:
    """Asks the `up` of one state folder. Raises Failure when none runs on it."""

    def __init__(self, state: Path) -> None:
        self._state = StateFolder.at(state)

    def running(self) -> bool:
        """Whether an `up` answers."""
        try:
            self._request("/v1/status", TIMEOUT_S)
        except Failure:
            return False
        return True

    def objects(self) -> list[dict[str, Any]]:
        """All objects with their status, as the cluster would give them."""
        return list(self._json("/v1/objects")["items"])

    def status(self) -> dict[str, Any]:
        """What runs: generation, proxies, accounts, findings."""
        return dict(self._json("/v1/status"))

    def watch(self, kind: str) -> Iterator[dict[str, Any]]:
        """Events `{type, object}` of one kind until `up` ends, as `Board.watch` yields them."""
        response = self._request(f"/v1/watch?kind={quote(kind)}", None)
        while line := response.readline():
            yield json.loads(line)

    def _json(self, path: str) -> dict[str, Any]:
        response = self._request(path, TIMEOUT_S)
        return dict(json.loads(response.read()))

    def _request(self, path: str, timeout: float | None) -> http.client.HTTPResponse:
        connection = _UnixConnection(self._state.up_socket, timeout)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise Failure(
                f"no Signalbox runs on {self._state.root}; start one with `signalbox up DIR"
                " --state …`, or name the one that runs with --state or SIGNALBOX_STATE"
            ) from None
        if response.status != http.HTTPStatus.OK:
            raise Failure(f"the running Signalbox answered {response.status} to {path}")
        return response

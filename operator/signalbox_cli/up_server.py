"""What a running `up` tells other commands: HTTP over the Unix socket STATE/up.sock.

Read-only, and only for whoever may enter the state folder (mode 0700).

- `GET /v1/objects`: all objects with status, as a List
- `GET /v1/watch?kind=Budget`: events as JSON lines, as `Board.watch` yields them
- `GET /v1/status`: what runs
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from signalbox_cli.board import Board


class UpServer:
    """Serves a board and a status on a Unix socket."""

    def __init__(self, board: Board, status: Callable[[], dict[str, Any]]) -> None:
        self._board = board
        self._status = status
        application = web.Application()
        application.router.add_get("/v1/objects", self._objects)
        application.router.add_get("/v1/watch", self._watch)
        application.router.add_get("/v1/status", self._state)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def start(self, socket: Path) -> None:
        """Listens on the socket, in place of one that an earlier process left."""
        socket.unlink(missing_ok=True)  # noqa: ASYNC240  before anybody is served
        await self._runner.setup()
        await web.UnixSite(self._runner, str(socket)).start()

    async def stop(self) -> None:
        """Ends all watches and stops listening."""
        self._board.close()
        await self._runner.cleanup()

    async def _objects(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"items": self._board.items()})

    async def _state(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self._status())

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        async for event in self._board.watch(request.query.get("kind", "")):
            await response.write(json.dumps(event).encode() + b"\n")
        return response

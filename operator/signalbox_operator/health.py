"""The operator's port for metrics and health, asked by the kubelet and by Prometheus."""

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

STUCK_S: Final = 120.0
"""A loop whose last pass began longer ago hangs."""


def health_application(beat_at: Callable[[], float], unready: Callable[[], str]) -> web.Application:
    """`/livez` (the loop passes) and `/readyz` (it knows all it needs; otherwise what it lacks)."""

    async def live(request: web.Request) -> web.Response:
        del request
        stuck = time.monotonic() - beat_at()
        if stuck > STUCK_S:
            return web.Response(
                text=f"the loop began its last pass {stuck:.0f} s ago\n", status=503
            )
        return web.Response(text="ok\n")

    async def ready(request: web.Request) -> web.Response:
        del request
        lacks = unready()
        return web.Response(text=f"{lacks or 'ok'}\n", status=503 if lacks else 200)

    application = web.Application()
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    return application

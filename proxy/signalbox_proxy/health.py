"""The port for metrics and health. Nothing here tells of tenants, and nothing asks dependencies."""

from aiohttp import web

from signalbox_proxy.services import Services


def health_application(services: Services) -> web.Application:
    """`/metrics`, `/livez` (the process runs) and `/readyz` (it may get traffic)."""

    async def metrics(request: web.Request) -> web.Response:
        services.metrics.in_flight.set(len(services.in_flight))
        return web.Response(
            body=services.metrics.text(),
            headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def live(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(request: web.Request) -> web.Response:
        if services.ready:
            return web.Response(text="ok\n")
        return web.Response(text="not ready\n", status=503)

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    return application

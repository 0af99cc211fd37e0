"""The operator's port for metrics and health, asked by the kubelet and by Prometheus."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.registry import Collector

from signalbox_operator.trust import TrustTold

STUCK_S: Final = 120.0
"""A loop that gave no sign for longer hangs: as a pass begins, and while one compiles (`beat`)."""


def health_application(
    beat_at: Callable[[], float],
    unready: Callable[[], str],
    trust: Callable[[], TrustTold | None] = lambda: None,
    *,
    collectors: Sequence[Collector] = (),
) -> web.Application:
    """`/livez` (the loop passes), `/readyz` (it can release; otherwise what is in the way) and
    `/metrics`, with what `collectors` tell besides."""
    registry = _metrics(beat_at, unready, trust)
    for collector in collectors:
        registry.register(collector)

    async def live(request: web.Request) -> web.Response:
        del request
        stuck = time.monotonic() - beat_at()
        if stuck > STUCK_S:
            return web.Response(text=f"the loop gave its last sign {stuck:.0f} s ago\n", status=503)
        return web.Response(text="ok\n")

    async def ready(request: web.Request) -> web.Response:
        del request
        lacks = unready()
        return web.Response(text=f"{lacks or 'ok'}\n", status=503 if lacks else 200)

    async def metrics(request: web.Request) -> web.Response:
        del request
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=generate_latest(registry), headers={"content-type": kind})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    return application


async def listen(application: web.Application, host: str, port: int) -> web.AppRunner:
    """Serves until it is cleaned up, and says on standard output at which port (0: any)."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    print(f"ready metrics-port={runner.addresses[0][1]}", flush=True)  # noqa: T201
    return runner


def _metrics(
    beat_at: Callable[[], float],
    unready: Callable[[], str],
    trust: Callable[[], TrustTold | None],
) -> CollectorRegistry:
    """What Prometheus sees of an operator; looked at when it asks."""
    registry = CollectorRegistry()
    Gauge(
        "signalbox_operator_ready",
        "1 where the operator can release, as far as it knows.",
        registry=registry,
    ).set_function(lambda: float(not unready()))
    Gauge(
        "signalbox_operator_pass_age_seconds",
        "Time since the loop gave its last sign.",
        registry=registry,
    ).set_function(lambda: time.monotonic() - beat_at())
    Gauge(
        "signalbox_operator_rotation_waits",
        "1 where a change of keys, authorities or tokens waits for proxies to follow.",
        registry=registry,
    ).set_function(lambda: float(bool((told := trust()) and told.waiting)))
    Gauge(
        "signalbox_operator_secrets_unusable",
        "1 where a Secret of the release cannot be read, written or understood.",
        registry=registry,
    ).set_function(lambda: float(bool((told := trust()) and told.problems)))
    return registry

"""The proxy as a process: put together, started, stopped in order.

Stopping: unready first, then no new connections, then what is under way ends or is told, then
all is settled and the ledger closed.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web

from signalbox_ledger.client import JournalError, ProxyLedger
from signalbox_proxy import logs
from signalbox_proxy.configuration import Configuration
from signalbox_proxy.control import control_application
from signalbox_proxy.control_files import ControlFiles
from signalbox_proxy.control_ledger import LedgerDesk
from signalbox_proxy.control_tls import ControlCertificate, PeerAuthorities
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.earlier_runs import EarlierRuns
from signalbox_proxy.health import health_application
from signalbox_proxy.last_good import LastGood
from signalbox_proxy.listening import listening_socket
from signalbox_proxy.metrics import Metrics
from signalbox_proxy.peers import Peers
from signalbox_proxy.server import TrafficServer, check_build, drain, keep_closing_idle, listen
from signalbox_proxy.services import Services
from signalbox_proxy.settings import Settings, from_process
from signalbox_proxy.signin.identities import Identities
from signalbox_proxy.signin.surroundings import surroundings_of
from signalbox_proxy.traffic import Traffic
from signalbox_proxy.trust import TrustFiles
from signalbox_proxy.upstream import PooledUpstream

FENCED_CHECK_S = 1.0
GC_THRESHOLD = 50_000
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("signalbox.process")


def main(arguments: list[str] | None = None) -> int:
    """Run a proxy until SIGTERM. Exit code 1 where it cannot start or was taken for dead."""
    settings = from_process(arguments)
    logs.configure()
    check_build()
    if settings.die_with_parent:
        die_with_parent()
    os.umask(0o077)
    _allow_open_files()
    try:
        return uvloop.run(run(settings))
    except (JournalError, OSError) as error:
        _log.error("cannot start: %s", error)
        return 1


async def run(settings: Settings) -> int:
    """Serve until asked to stop; the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    earlier = EarlierRuns(settings.authority, settings.state / "journal")
    if settings.recover:
        await earlier.settle(stop)
    async with _services(settings) as services:
        files = _control_files(settings)
        files.refresh()
        last_good = LastGood(settings.state / "snapshot.json")
        configuration = Configuration(services, files.trust, last_good)
        peers = Peers(settings.peers, of=settings.peers_of, authorities=files.authorities)
        desk = LedgerDesk(settings.authority, lambda: "".join(files.trust.tokens[:1]))
        application = control_application(configuration, files, desk)
        tls = files.certificate.context if files.certificate is not None else None
        control = await _site(application, settings.host, settings.control_port, tls)
        health = await _site(health_application(services), settings.host, settings.metrics_port)
        await configuration.start(peers)
        server = TrafficServer(Traffic(services))
        listening = await listen(server, settings.host, settings.port)
        chores = [
            asyncio.create_task(server.keep_sweeping()),
            asyncio.create_task(configuration.keep_credentials_fresh()),
            asyncio.create_task(configuration.keep_signed_in()),
            asyncio.create_task(configuration.keep_pulling(peers)),
            asyncio.create_task(files.keep_fresh(configuration.rely_on)),
            asyncio.create_task(_stop_when_fenced(services.ledger, stop)),
            asyncio.create_task(keep_closing_idle(_server(control), _server(health))),
        ]
        if settings.recover:
            chores.append(asyncio.create_task(earlier.keep_trying()))
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        ports = (_port(listening.sockets[0].getsockname()), _bound(control), _bound(health))
        print(f"ready port={ports[0]} control-port={ports[1]} metrics-port={ports[2]}", flush=True)  # noqa: T201
        await stop.wait()
        await _stop(settings, services, server, listening)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await control.cleanup()
        await health.cleanup()
        return 1 if services.ledger.is_fenced else 0


async def _stop(
    settings: Settings, services: Services, server: TrafficServer, listening: asyncio.Server
) -> None:
    services.stopping = True
    await asyncio.sleep(settings.unready_s)
    listening.close()
    await drain(server, services.in_flight, settings.drain_s)
    await server.shutdown(1.0)


@asynccontextmanager
async def _services(settings: Settings) -> AsyncIterator[Services]:
    ledger = await ProxyLedger.open(
        name=settings.name, socket=settings.authority, journal_dir=settings.state / "journal"
    )
    upstream = PooledUpstream()
    credentials = CredentialStore(settings.credentials)
    try:
        yield Services(
            name=settings.name,
            ledger=ledger,
            upstream=upstream,
            credentials=credentials,
            metrics=Metrics(),
            identities=Identities(surroundings_of(settings.environment, credentials)),
        )
    finally:
        await upstream.close()
        await ledger.close()


async def _stop_when_fenced(ledger: ProxyLedger, stop: asyncio.Event) -> None:
    """A process that was taken for dead must not serve on: its money is settled already."""
    while not ledger.is_fenced:  # noqa: ASYNC110  the ledger has no event for it
        await asyncio.sleep(FENCED_CHECK_S)
    _log.error("the ledger of this process can go on no longer; it ends")
    stop.set()


async def _site(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listening_socket(host, port), ssl_context=tls).start()
    return runner


def _server(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the site is not set up")
    return runner.server


def _bound(runner: web.AppRunner) -> int:
    return _port(runner.addresses[0])


def _port(address: tuple[str, int]) -> int:
    return address[1]


def _control_files(settings: Settings) -> ControlFiles:
    certificate, key = settings.control_certificate, settings.control_key
    return ControlFiles(
        TrustFiles(settings.fleet, settings.trust, settings.control_token),
        ControlCertificate(certificate, key) if certificate and key else None,
        PeerAuthorities(settings.control_ca) if settings.control_ca else None,
    )


def _allow_open_files() -> None:
    """Each connection is a file, and shells and services allow few: take all that may be had."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)

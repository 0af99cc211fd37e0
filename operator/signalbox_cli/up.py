"""`signalbox up`: all of Signalbox on this machine, in the foreground."""

import asyncio
import os
from pathlib import Path

import click
import uvloop

from signalbox_cli.options import (
    AgentName,
    manifests_argument,
    platform_namespace_option,
    state_option,
)
from signalbox_cli.settings import UpSettings
from signalbox_cli.state import StateFolder
from signalbox_cli.supervisor import supervise
from signalbox_ledger.opening import DSN_VARIABLE

_port = click.IntRange(1, 65535)


@click.command("up", short_help="Run all of Signalbox on this machine.")
@manifests_argument
@click.option(
    "--simulate",
    is_flag=True,
    envvar="SIGNALBOX_SIMULATE",
    show_envvar=True,
    help="Send every lane to a simulated provider; agents without keys get one of this machine.",
)
@state_option
@click.option(
    "--proxies",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    envvar="SIGNALBOX_PROXIES",
    show_envvar=True,
    help="Proxy processes that share the traffic port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="SIGNALBOX_HOST",
    show_envvar=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    type=_port,
    default=8080,
    show_default=True,
    envvar="SIGNALBOX_PORT",
    show_envvar=True,
    help="Traffic port.",
)
@click.option(
    "--control-port",
    type=_port,
    default=8081,
    show_default=True,
    envvar="SIGNALBOX_CONTROL_PORT",
    show_envvar=True,
    help="Control port of the first proxy; further ones take the next.",
)
@click.option(
    "--metrics-port",
    type=_port,
    default=9090,
    show_default=True,
    envvar="SIGNALBOX_METRICS_PORT",
    show_envvar=True,
    help="Metrics and health port of the first proxy; further ones take the next.",
)
@click.option(
    "--credentials",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="SIGNALBOX_CREDENTIALS",
    show_envvar=True,
    help="Folder with the providers' API keys, one file for each name that lanes use.",
)
@click.option(
    "--dev-key",
    "dev_keys",
    multiple=True,
    type=AgentName(),
    metavar="NAMESPACE/AGENT",
    envvar="SIGNALBOX_DEV_KEY",
    show_envvar=True,
    help="Make a key for this agent, kept in the state folder; the first one is printed.",
)
@platform_namespace_option
def command(  # noqa: PLR0913  one for each option
    manifests: Path,
    simulate: bool,
    state: Path,
    proxies: int,
    host: str,
    port: int,
    control_port: int,
    metrics_port: int,
    credentials: Path | None,
    dev_keys: tuple[str, ...],
    platform_namespace: str,
) -> None:
    """Run all of Signalbox on this machine with the manifests in DIR, until Ctrl-C.

    Starts the ledger's authority, proxies and, with --simulate, a provider that costs nothing.
    Prints the addresses and a key to use them with. A change of a file in DIR is released at once;
    a broken file leaves in force what it said before.

    The ledger is a SQLite file in the state folder, or the PostgreSQL database that the environment
    variable SIGNALBOX_LEDGER_DSN names (postgresql://USER:PASSWORD@HOST/DATABASE).

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 cannot start (a port is taken, the state folder is
    in use), 2 wrong command line.
    """
    settings = UpSettings(
        manifests=manifests,
        state=StateFolder.at(state),
        simulate=simulate,
        proxies=proxies,
        host=host,
        port=port,
        control_port=control_port,
        metrics_port=metrics_port,
        credentials=None if simulate else credentials,
        dev_keys=dev_keys,
        platform_namespace=platform_namespace,
        ledger_dsn=os.environ.get(DSN_VARIABLE, ""),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(supervise(settings))

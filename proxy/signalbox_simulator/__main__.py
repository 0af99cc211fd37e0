"""``python -m signalbox_simulator``: start the simulated provider."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import click
import uvloop
from aiohttp import web

from .behaviour import Behaviour
from .bill import Bill
from .composition import LONGEST, SHORTEST, warm_up
from .credentials import Credentials
from .server import Simulator, read_token
from .sheet import DEFAULT_SHEET, load

PR_SET_PDEATHSIG = 1
SHUTDOWN_SECONDS = 1.0
FILE = click.Path(dir_okay=False, path_type=Path)


def die_with_parent() -> None:
    """Ask Linux to end this process when the thread that started it ends (prctl(2))."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent == 1 or os.getppid() != parent:
        sys.exit("the parent process is gone")


async def serve(simulator: Simulator, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end for a moment."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        simulator.application(),
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    sys.stdout.write(f"ready http://{host}:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stop.wait()
    await runner.cleanup()
    simulator.bill.close()


@click.command(context_settings={"auto_envvar_prefix": "SIGNALBOX_SIMULATOR"})
@click.option("--port", type=int, default=0, help="Port to listen on; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--bill", "bill_file", type=FILE, required=True, help="File that the bill goes to.")
@click.option("--prices", type=FILE, default=DEFAULT_SHEET, help="Price sheet (YAML).")
@click.option(
    "--credentials",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Directory with one file per accepted API key.",
)
@click.option("--seed", type=int, default=0, help="Seed of answers and of rules by probability.")
@click.option("--behaviour", type=FILE, help="Rules for misbehaving (YAML), read when it changes.")
@click.option("--control-token", type=FILE, help="File with the token of the control endpoint.")
@click.option(
    "--generate-after-disconnect",
    type=click.IntRange(min=0),
    default=8,
    help="Tokens that are still generated, and billed, after the client has gone.",
)
@click.option(
    "--answer-tokens",
    type=click.IntRange(min=1),
    nargs=2,
    default=(SHORTEST, LONGEST),
    show_default=True,
    help="Shortest and longest answer that ends by itself, in tokens without reasoning.",
)
@click.option("--fsync/--no-fsync", default=True, help="Make each line of the bill durable.")
@click.option("--die-with-parent", "bound", is_flag=True, help="End with the parent (Linux).")
def main(  # noqa: PLR0913 - one parameter per option
    *,
    port: int,
    host: str,
    bill_file: Path,
    prices: Path,
    credentials: Path,
    seed: int,
    behaviour: Path | None,
    control_token: Path | None,
    generate_after_disconnect: int,
    answer_tokens: tuple[int, int],
    fsync: bool,
    bound: bool,
) -> None:
    """Run a simulated provider with honest usage, prices and bill."""
    if answer_tokens[0] > answer_tokens[1]:
        raise click.BadParameter("the shortest answer is longer than the longest")
    if bound:
        die_with_parent()
    try:
        simulator = Simulator(
            sheet=load(prices),
            credentials=Credentials(credentials),
            bill=Bill(bill_file, durable=fsync),
            behaviour=Behaviour(seed=seed, file=behaviour),
            seed=seed,
            answer_tokens=answer_tokens,
            allowance=generate_after_disconnect,
            control_token=read_token(control_token),
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    warm_up()
    uvloop.run(serve(simulator, host, port))


if __name__ == "__main__":
    main()

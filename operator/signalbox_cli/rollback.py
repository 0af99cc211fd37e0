"""`signalbox rollback`: an earlier release serves again, for a while."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from signalbox_cli import amounts
from signalbox_cli.desk_client import who
from signalbox_cli.failure import Failure
from signalbox_cli.history import releases
from signalbox_cli.options import (
    Duration,
    cluster_option,
    fleet_option,
    platform_namespace_option,
    state_option,
)
from signalbox_cli.terminal import out
from signalbox_operator.going_back import LONGEST_S, request_text
from signalbox_operator.history import entry_of

DAY_S: Final = 86_400


@click.command("rollback", short_help="Go back to an earlier release for a while.")
@click.argument("generation", type=click.IntRange(min=1), required=False)
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default=DAY_S,
    show_default="1d",
    help="How long; after that what is written serves again by itself.",
)
@click.option("--end", is_flag=True, help="End it now: what is written serves again.")
@cluster_option
@platform_namespace_option
@fleet_option
@state_option
def command(
    generation: int | None,
    seconds: int,
    end: bool,
    cluster: bool,
    platform_namespace: str,
    fleet: str,
    state: Path,
) -> None:
    """Have the content of release GENERATION serve again, as a new release.

    Keys are those of now (revoked ones stay revoked), deleted agents stay deleted, and residency
    locks are current. Objects that differ say Programmed=False, reason Pinned. Changes that are
    written meanwhile are kept, and serve when the time is over.

    Exit codes: 0 asked for, 1 that release is not kept, 2 wrong command line.
    """
    if (generation is None) == (not end):
        raise click.UsageError("name a GENERATION (`signalbox history` lists them), or --end")
    kept = releases(cluster, platform_namespace, fleet, state)
    head = kept.head()
    now = datetime.now(tz=UTC)
    if generation is None:
        kept.ask(request_text(0, now, who()))
        out().print("What is written serves again within seconds.")
        return
    if seconds > LONGEST_S:
        raise Failure(f"a release can be pinned for {LONGEST_S // DAY_S} days at most")
    if entry_of(head, generation) is None:
        known = ", ".join(str(entry.generation) for entry in head.history)
        raise Failure(f"generation {generation} is not kept; these are: {known}")
    until = now + timedelta(seconds=seconds)
    kept.ask(request_text(generation, until, who()))
    ends = amounts.instant(int(until.timestamp()) * 1000)
    out().print(f"Generation {generation} serves again within seconds, until {ends}.")

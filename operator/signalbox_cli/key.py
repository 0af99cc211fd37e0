"""`signalbox key`: API keys of agents, of which manifests hold the digest only."""

import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from signalbox_api.keys import MAX_ADOPTED, adopt_key, new_key
from signalbox_api.scalars import format_instant
from signalbox_cli.failure import Failure
from signalbox_cli.options import AgentName, Duration
from signalbox_cli.terminal import err

SECRET_BYTES: Final = 24

_name_option = click.option(
    "--name",
    default=None,
    help="Name of the key among the agent's. Default: the day it was made.",
)
_expires_option = click.option(
    "--expires", type=Duration(), help="How long the key is valid, such as 90d. Default: for ever."
)
_agent_argument = click.argument("agent", metavar="NAMESPACE/AGENT", type=AgentName())


@click.group("key", short_help="Make or adopt API keys of agents.")
def command() -> None:
    """Make or adopt API keys of agents. Manifests hold digests, never keys."""


@command.command("new")
@_agent_argument
@_name_option
@_expires_option
def new(agent: str, name: str | None, expires: int | None) -> None:
    """Make a key for an agent.

    Prints the key once on standard output, kept nowhere, and on standard error what to add to the
    Agent.

    Exit codes: 0 done, 2 wrong command line.
    """
    namespace, _, agent_name = agent.partition("/")
    made = new_key(namespace, agent_name, secrets.token_bytes(SECRET_BYTES))
    click.echo(made.key)
    err().print("\nThe key above is shown once. Add its digest to the Agent:\n", style="dim")
    click.echo(_snippet(agent, name, expires, {"sha256": made.sha256}), err=True)


@command.command("adopt")
@_agent_argument
@_name_option
@_expires_option
def adopt(agent: str, name: str | None, expires: int | None) -> None:
    """Let an application keep the key it has: hashes it, read from standard input.

    The key is never taken from the command line, where others could see it. Prints what to add to
    the Agent.

    Exit codes: 0 done, 1 no key that can be adopted, 2 wrong command line.
    """
    if sys.stdin.isatty():
        key = click.prompt("The application's key", hide_input=True, err=True)
    else:
        key = sys.stdin.read(MAX_ADOPTED + 2)
    namespace, _, agent_name = agent.partition("/")
    try:
        adopted = adopt_key(namespace, agent_name, key.strip())
    except ValueError as error:
        raise Failure(f"{error}; pass the key on standard input, such as from a file") from None
    digests = {"sha256": adopted.sha256, "lookup": adopted.lookup}
    click.echo(_snippet(agent, name, expires, digests))


def _snippet(agent: str, name: str | None, expires: int | None, digests: dict[str, str]) -> str:
    namespace, _, agent_name = agent.partition("/")
    now = datetime.now(tz=UTC)
    lines = [
        f"# Agent {agent_name} in namespace {namespace}",
        "spec:",
        "  credentials:",
        "    keys:",
        f"    - name: {name or now.strftime('key-%Y-%m-%d')}",
        *(f'      {field}: "{digest}"' for field, digest in digests.items()),
    ]
    if expires is not None:
        lines.append(f"      expiresAt: {format_instant(now + timedelta(seconds=expires))}")
    return "\n".join(lines)

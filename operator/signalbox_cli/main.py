"""The command's entry: one group, each command loaded when it is asked for.

Loading lazily keeps `signalbox get` quick: only `up` needs the HTTP server and the compiler.
"""

import importlib
from typing import Final

import click

_COMMANDS: Final = {
    "up": ("signalbox_cli.up", "Run all of Signalbox on this machine."),
    "check": ("signalbox_cli.check", "Validate and compile manifests."),
    "get": ("signalbox_cli.get", "Show objects with their status."),
    "explain": ("signalbox_cli.explain", "Show what would happen to a request."),
    "key": ("signalbox_cli.key", "Make or adopt API keys of agents."),
    "runs": ("signalbox_cli.runs", "List runs, or show one whole."),
    "history": ("signalbox_cli.history", "List releases and what each changed."),
    "rollback": ("signalbox_cli.rollback", "Go back to an earlier release for a while."),
    "rotate": ("signalbox_cli.rotate", "Change a cluster's keys, authority or tokens."),
    "report": ("signalbox_cli.report", "Answer questions from the ledger."),
    "reconcile": ("signalbox_cli.reconcile", "Compare a provider's bill with the ledger."),
    "prices": ("signalbox_cli.prices", "Take public prices into Models; compare."),
    "proxies": ("signalbox_cli.proxies", "Show who holds slices; give up a lost machine."),
    "ledger": ("signalbox_cli.ledger_desk", "Look at the ledger's database, and mend it."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 not possible or not found, 2 wrong command line.",
)
@click.version_option(package_name="signalbox", message="%(prog)s %(version)s")
def main() -> None:
    """Signalbox: every model call identified, priced, reserved, routed, answered and recorded."""

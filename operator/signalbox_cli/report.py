"""`signalbox report`: questions to the ledger, answered at once."""

import click

from signalbox_cli.spend_report import spend


@click.group("report", short_help="Answer questions from the ledger.")
def command() -> None:
    """Answer questions from the ledger."""


command.add_command(spend)

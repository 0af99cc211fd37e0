"""How a command ends when it cannot do what was asked: one sentence on stderr, never a traceback.

Exit codes, the same for every command: 0 done; 1 it could not be done, or what was asked for is not
there; 2 the command line is wrong (click's own).
"""

from typing import IO, Any

import click


class Failure(click.ClickException):
    """A sentence that says what is wrong and what to do; the command ends with exit code 1."""

    def __init__(self, sentence: str, *, prefix: str = "signalbox: ") -> None:
        super().__init__(sentence)
        self.prefix = prefix

    def show(self, file: IO[Any] | None = None) -> None:
        """Writes the sentence to stderr."""
        click.echo(f"{self.prefix}{self.message}", err=True, file=file)

"""Options of `signalbox reconcile` that are read into numbers."""

from typing import Final

import click

from signalbox_ledger import reconciliation_values as values

_DAY_MS: Final = 86_400_000
_DATE: Final = len("2026-11-01")


class Period(click.ParamType[tuple[int, int]]):
    """`FROM/TO`, each a date or an instant, or one date; a date as TO belongs to it."""

    name = "from/to"

    def convert(
        self,
        value: str | tuple[int, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        """Returns milliseconds since the epoch, the end not included."""
        if isinstance(value, tuple):
            return value
        first, _, last = value.partition("/")
        last = last or first
        try:
            start, end = values.instant_ms(first), values.instant_ms(last)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        end += _DAY_MS if len(last.strip()) == _DATE else 0
        if not start < end:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return start, end


class Dollars(click.ParamType[int]):
    """A decimal amount of USD, in nano-USD."""

    name = "usd"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns nano-USD; ends the command when the value is no amount."""
        if isinstance(value, int):
            return value
        try:
            return values.nano_usd(values.pico_usd(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)

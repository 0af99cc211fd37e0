"""The one row of `ledger_state`: what every transaction of an authority begins by reading.

Part of `store`. It tells what another authority may have changed meanwhile: the budgets in force,
whether draws are frozen, and, since a newer release may upgrade the tables at any moment, whether
this one may still work on them.
"""

from typing import NamedTuple

from signalbox_ledger import migrate
from signalbox_ledger.database import Row

ASKING = (
    "SELECT generation, min_generation, identity, frozen, frozen_at, oldest_writer "
    "FROM ledger_state"
)


class State(NamedTuple):
    """The one row of `ledger_state`. `frozen` says why nothing may be drawn, or is empty."""

    generation: int
    min_generation: int
    identity: str
    frozen: str
    frozen_at: int
    oldest_writer: str


UNKNOWN = State(0, 0, "", "", 0, "")
"""What is known before the first transaction."""


def told(row: Row) -> State:
    """What `ASKING` gave. Raises SchemaError where only newer releases may work on the tables."""
    state = State(*row)
    migrate.check_writer(state.oldest_writer)
    return state

"""How many users or sessions one agent brings into a window: counted where their accounts are made.

Part of `store`, inside the caller's transaction: an account that is one too many is unmade in the
transaction that made it, so that neither a first use nor several proxies at once can slip through.
Without a bound, whoever invents a name for each request would have a fresh limit each time.
"""

from collections.abc import Mapping

from signalbox_ledger.account_store import OF_ACCOUNT, Account
from signalbox_ledger.database import Database

Opening = tuple[str, int]
"""The agent that brings a subject, and how many it may bring."""


class NewSubjects:
    """The table `new_subject`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, made: Mapping[Account, Opening], ends: Mapping[Account, int]) -> set[Account]:
        """Count accounts that were just made, for each agent in the order given; those that are too
        many are unmade, and returned.

        `ends` are the ends of their windows. Rows are touched in the order of their keys.
        """
        openings = sorted(((account, *made[account]) for account in made), key=_row)
        counted = self._database.execute_many(
            "INSERT INTO new_subject (budget, basis, window_start, agent, window_end, opened) "
            "VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (budget, basis, window_start, agent) "
            "DO UPDATE SET opened = new_subject.opened + 1 WHERE new_subject.opened < ?",
            [
                (account[0], account[1], account[3], agent, ends[account], most)
                for account, agent, most in openings
            ],
        )
        refused = {opening[0] for opening, rows in zip(openings, counted, strict=True) if rows == 0}
        self._database.execute_many(
            f"DELETE FROM account WHERE {OF_ACCOUNT}",  # noqa: S608
            sorted(refused),
        )
        return refused

    def forget_ended(self, before: int) -> None:
        """Drop the counts of windows that ended before."""
        self._database.execute(
            "DELETE FROM new_subject WHERE window_end <> 0 AND window_end < ?", (before,)
        )


def _row(opening: tuple[Account, str, int]) -> tuple[str, str, int, str]:
    (budget, basis, _, start), agent, _ = opening
    return budget, basis, start, agent

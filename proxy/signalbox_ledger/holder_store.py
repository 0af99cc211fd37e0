"""Holders in the database: incarnations of proxies, their sessions, and what became of them.

Part of `store`, inside the caller's transaction.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from signalbox_ledger import run_store
from signalbox_ledger.account_store import AccountStore
from signalbox_ledger.database import Database, Row, Statement
from signalbox_ledger.protocol import Hello

_log = logging.getLogger("signalbox.authority")

HolderProblem = Literal["fenced", "unknown_holder", "replaced"]


class HolderRefusedError(Exception):
    """A holder is not heard: it is unknown, fenced, or spoke on a session since replaced."""

    def __init__(self, problem: HolderProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class Opened(NamedTuple):
    """A session of a holder: how much of its journal is settled, and the session's number."""

    offset: int
    epoch: int


class HolderStore:
    """The tables `holder`, `slice_loss` and `refused_record`."""

    def __init__(self, database: Database, accounts: AccountStore) -> None:
        self._database = database
        self._accounts = accounts

    def open(self, hello: Hello, now_ms: int) -> Opened:
        """Register an incarnation, or a new session of one. Raises HolderRefusedError."""
        ((fenced, epoch),) = self._database.query(
            "INSERT INTO holder (id, name, opened_at, epoch, seen_at, acknowledged, presented_at) "
            "VALUES (?, ?, ?, 1, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET epoch = holder.epoch + 1, seen_at = excluded.seen_at, "
            "acknowledged = excluded.acknowledged, presented_at = excluded.presented_at "
            "RETURNING fenced, epoch",
            (hello.holder, hello.name, now_ms, now_ms, hello.acknowledged, now_ms),
        )
        if fenced:
            raise _fenced(hello.holder)
        return Opened(self._settled(hello.holder), int(epoch))

    def check(self, holder: str, epoch: int) -> None:
        """Hold it in this session until the transaction ends. Raises HolderRefusedError."""
        found = next(iter(self._database.query(*self.holding([holder]))), None)
        problem = refusal(holder, epoch, found)
        if problem is not None:
            raise problem

    def holding(self, holders: Iterable[str]) -> Statement:
        """Asks what `refusal` needs of these holders, and holds them in their sessions."""
        asking, parameters = self.looking_at(holders)
        return f"{asking} ORDER BY id{self._database.share_lock}", parameters

    def looking_at(self, holders: Iterable[str]) -> Statement:
        """As `holding`, for those who change nothing: nobody waits for them."""
        of_holder = self._database.any_of("id")
        return (
            f"SELECT id, fenced, epoch FROM holder WHERE {of_holder}",  # noqa: S608
            (self._database.listed(sorted(holders)),),
        )

    def heard_of(self, holders: Sequence[str], now_ms: int) -> None:
        """Note that these holders are connected."""
        self._database.execute(
            f"UPDATE holder SET seen_at = ? WHERE {self._database.any_of('id')}",  # noqa: S608
            (now_ms, self._database.listed(holders)),
        )

    def fence(self, holder: str, name: str, now_ms: int) -> int:
        """Refuse the incarnation from now on; give its settled offset. Idempotent."""
        self._database.execute(
            "INSERT INTO holder (id, name, opened_at, fenced) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (id) DO UPDATE SET fenced = 1",
            (holder, name, now_ms),
        )
        return self.offset(holder)

    def offset(self, holder: str) -> int:
        """How much of its journal is settled, fenced or not. Raises HolderRefusedError."""
        if not self._database.query("SELECT 1 FROM holder WHERE id = ?", (holder,)):
            raise _unknown(holder)
        return self._settled(holder)

    def _settled(self, holder: str) -> int:
        rows = self._database.query(
            "SELECT journal_offset FROM settled_journal WHERE holder = ?", (holder,)
        )
        return int(rows[0][0]) if rows else 0

    def advance_offset(self, holder: str, start: int, end: int) -> bool:
        """Compare and set the settled offset."""
        if start == 0:
            self._database.execute(
                "INSERT INTO settled_journal (holder, journal_offset) VALUES (?, 0) "
                "ON CONFLICT DO NOTHING",
                (holder,),
            )
        changed = self._database.execute(
            "UPDATE settled_journal SET journal_offset = ? WHERE holder = ? AND journal_offset = ?",
            (end, holder, start),
        )
        return changed == 1

    def skip_journal(self, holder: str, start: int, end: int) -> bool:
        """Take bytes as settled that were once, in commits that were lost, and are not kept."""
        _log.error("bytes %d to %d of the journal of %s are lost", start, end, holder)
        return self.advance_offset(holder, start, end)

    def finish(self, holder: str) -> None:
        """Close every slice of the incarnation and fence it."""
        # First, so that a draw of a lost connection that commits late has its slice closed too.
        self._fence(holder)
        self._accounts.close_all(holder)

    def _fence(self, holder: str) -> None:
        """Nothing more is expected of its journal, either."""
        self._database.execute(
            "UPDATE holder SET fenced = 1, acknowledged = 0 WHERE id = ?", (holder,)
        )

    def post_loss(self, holder: str, now_ms: int) -> dict[str, tuple[int, int]]:
        """Charge the open slices of a holder in full; give (slices, amount) by unit."""
        self.offset(holder)
        # First, so that what it draws or settles at this moment is done before, or refused.
        self._fence(holder)
        lost = self._database.query(
            "INSERT INTO slice_loss (slice_id, holder, budget, basis, subject, window_start, "
            "amount, posted_at) SELECT id, holder, budget, basis, subject, window_start, "
            "amount - spent, ? FROM slice WHERE holder = ? AND amount > spent "
            "RETURNING slice_id, budget, basis, amount",
            (now_ms, holder),
        )
        self._database.execute("UPDATE slice SET spent = amount WHERE holder = ?", (holder,))
        self.finish(holder)
        charges = [
            run_store.SliceLoss(
                slice_id=id_, budget=budget, holder=holder, amount_nano=amount, posted_at=now_ms
            )
            for id_, budget, basis, amount in lost
            if _unit(basis) == "usd"
        ]
        run_store.insert_slice_losses(self._database, charges)
        return self._losses(holder)

    def _losses(self, holder: str) -> dict[str, tuple[int, int]]:
        rows = self._database.query(
            "SELECT basis, COUNT(*), CAST(SUM(amount) AS BIGINT) FROM slice_loss "
            "WHERE holder = ? GROUP BY basis",
            (holder,),
        )
        totals: dict[str, tuple[int, int]] = {}
        for basis, count, amount in rows:
            slices, amounts = totals.get(_unit(basis), (0, 0))
            totals[_unit(basis)] = (slices + count, amounts + amount)
        return totals

    def set_aside(self, holder: str, end: int, record: tuple[str, str, bytes]) -> None:
        """Keep a record (run id, reason, body) that the tables of runs do not take."""
        self._database.execute(
            "INSERT INTO refused_record (holder, journal_end, run_id, reason, body) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (holder, end, *record),
        )

    def forget_ended(self, before_ms: int) -> None:
        """Drop incarnations that ended, were heard of before, and have no slice left.

        One that was written off without its journal may live on, cut off, and come back as if it
        were new: it stays fenced for good.
        """
        ended = (
            "fenced = 1 AND opened_at < ? AND seen_at < ? "
            "AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.holder = holder.id) "
            "AND NOT EXISTS (SELECT 1 FROM slice_loss WHERE slice_loss.holder = holder.id)"
        )
        self._database.execute(
            "DELETE FROM settled_journal WHERE holder IN "  # noqa: S608
            f"(SELECT id FROM holder WHERE {ended})",
            (before_ms, before_ms),
        )
        self._database.execute(
            f"DELETE FROM holder WHERE {ended}",  # noqa: S608
            (before_ms, before_ms),
        )


def refusal(holder: str, epoch: int, found: Row | None) -> HolderRefusedError | None:
    """Why this session of the holder is not heard, by the holder's row; None if it is."""
    if found is None:
        return _unknown(holder)
    _, fenced, current = found
    if fenced:
        return _fenced(holder)
    if current != epoch:
        return HolderRefusedError("replaced", f"holder {holder} has a newer connection")
    return None


def _unknown(holder: str) -> HolderRefusedError:
    return HolderRefusedError("unknown_holder", f"holder {holder} is not known; say hello first")


def _fenced(holder: str) -> HolderRefusedError:
    return HolderRefusedError(
        "fenced", f"holder {holder} is fenced: its process was taken to be gone"
    )


def _unit(basis: str) -> str:
    return basis.partition("/")[0]

"""Corrections: what a provider really billed, posted beside what the ledger charged.

Called by the authority inside its transaction. Nothing recorded is ever edited: a correction is a
new charge of the run, kept by attempt and by the digest of the bill's line, so that the same line
counts once. Accounts follow while their window is the present one: more goes to `overrun`, less is
given back, out of what this attempt had put there and never below what open slices hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from signalbox_ledger import run_store
from signalbox_ledger.account_store import OF_ACCOUNT, Account
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.desk_protocol import Correct, Corrected, CorrectionItem
from signalbox_ledger.records import Charge, HoldPart
from signalbox_ledger.store import Store


class _Charged(NamedTuple):
    """What is recorded of one attempt. `low` is the least that it was ever corrected to."""

    cost: int
    holds: list[HoldPart]
    started_at: int
    run_at: int
    generation: int
    now_nano: int
    low_nano: int
    now_tokens: int | None
    low_tokens: int | None
    digests: frozenset[str]


class _Move(NamedTuple):
    """What one hold's account owes: `raised` on top, or out of its overrun and its slice."""

    slice_id: str
    account: Account | None
    raised: int
    from_overrun: int
    from_slice: int


def correct(store: Store, request: Correct, now_ms: int) -> Corrected:
    """Post what is not posted yet. An item whose run is unknown, or was corrected meanwhile, is
    named in the answer and left as it is."""
    charged = _charged(store, request.items)
    fresh: list[tuple[CorrectionItem, _Charged]] = []
    known, changed = 0, list[str]()
    seen: set[tuple[str, int]] = set()
    for item in request.items:
        key = (item.run_id, item.attempt)
        found = charged.get(key)
        if found is not None and item.line in found.digests:
            known += 1
        elif found is None or found.now_nano != item.before or key in seen:
            changed.append(f"{item.run_id}/{item.attempt}")
        else:
            seen.add(key)
            fresh.append((item, found))
    if fresh:
        _record(store, request, fresh, now_ms)
    raised, returned = _Accounts(store, now_ms // 1000).post(fresh)
    return Corrected(
        booked=len(fresh), known=known, changed=changed, raised=raised, returned=returned
    )


def _charged(store: Store, items: Sequence[CorrectionItem]) -> dict[tuple[str, int], _Charged]:
    """The attempts, held until the transaction ends, so that nobody else corrects them."""
    database = store.database
    keys = sorted({(item.run_id, item.attempt) for item in items})
    lock = database.update_lock
    attempts = database.query_many(
        "SELECT cost_nano_usd, holds, started_at FROM attempt "  # noqa: S608
        f"WHERE run_id = ? AND number = ?{lock}",
        keys,
    )
    runs = database.query_many(
        "SELECT timestamp, generation FROM inference_run WHERE run_id = ?",
        [(run_id,) for run_id, _ in keys],
    )
    posted = database.query_many(
        "SELECT line, after_nano, tokens FROM correction WHERE run_id = ? AND attempt = ? "
        "ORDER BY position",
        keys,
    )
    sums = database.query_many(
        "SELECT CAST(COALESCE(SUM(cost_nano_usd), 0) AS BIGINT) FROM charge_record "
        "WHERE run_id = ? AND attempt = ? AND kind = 'correction'",
        keys,
    )
    found: dict[tuple[str, int], _Charged] = {}
    for position, key in enumerate(keys):
        if not attempts[position]:
            continue
        cost, holds, started_at = attempts[position][0]
        now_nano = cost + sums[position][0][0]
        tokens = [row[2] for row in posted[position] if row[2] is not None]
        found[key] = _Charged(
            cost=cost,
            holds=msgspec.json.decode(holds, type=list[HoldPart]),
            started_at=started_at,
            run_at=runs[position][0][0],
            generation=runs[position][0][1],
            now_nano=now_nano,
            low_nano=min([cost, now_nano, *(row[1] for row in posted[position])]),
            now_tokens=tokens[-1] if tokens else None,
            low_tokens=min(tokens) if tokens else None,
            digests=frozenset(row[0] for row in posted[position]),
        )
    return found


def _record(
    store: Store, request: Correct, fresh: Sequence[tuple[CorrectionItem, _Charged]], now_ms: int
) -> None:
    source = request.source
    store.database.execute(
        "INSERT INTO reconciliation (id, posted_at, posted_by, source, digest, period_start, "
        "period_end) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(source.id, now_ms, source.by, source.name, source.digest),
            *(source.period_start, source.period_end),
        ),
    )
    for item, _ in fresh:
        delta = item.after - item.before
        charge = Charge(
            attempt=item.attempt,
            meter="output",
            quantity=0,
            unit_price=0,
            cost=delta,
            base=delta,
            kind="correction",
        )
        run_store.insert_corrections(store.database, item.run_id, [charge], now_ms)
    store.database.execute_many(
        "INSERT INTO correction (run_id, attempt, line, reconciliation, request_id, before_nano, "
        "after_nano, tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(item.run_id, item.attempt, item.line, source.id, item.request_id),
                *(item.before, item.after, item.tokens),
            )
            for item, _ in fresh
        ],
    )


class _Accounts:
    """Moves accounts and slices after corrections."""

    def __init__(self, store: Store, now: int) -> None:
        self._store = store
        self._now = now
        self._specs: dict[str, BudgetSpec] = {}
        self._slices: dict[str, Account] = {}

    def post(
        self, fresh: Sequence[tuple[CorrectionItem, _Charged]]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """By unit, what later draws subtract in addition, and what they may draw again."""
        parts = [part for _, charged in fresh for part in charged.holds]
        self._learn(parts)
        raised: dict[Account, int] = {}
        owed: list[tuple[Account, int, int]] = []
        spent: list[tuple[str, int, Account]] = []
        for item, charged in fresh:
            for part in charged.holds:
                move = self._move(item, charged, part)
                if move is None or move.account is None:
                    continue
                if move.raised:
                    raised[move.account] = raised.get(move.account, 0) + move.raised
                elif part.slice_id in self._slices:
                    spent.append((part.slice_id, move.from_slice, move.account))
                    owed.append((move.account, move.from_overrun, 0))
                else:
                    owed.append((move.account, move.from_overrun, move.from_slice))
        self._raise(raised)
        returned = self._unspend(spent, owed)
        returned = _joined(returned, self._release(owed))
        return _by_unit(raised), _by_unit(returned)

    def _learn(self, parts: Iterable[HoldPart]) -> None:
        database = self._store.database
        listed = list(parts)
        rows = database.query(
            "SELECT id, budget, basis, subject, window_start FROM slice "  # noqa: S608
            f"WHERE {database.any_of('id')}",
            (database.listed(sorted({part.slice_id for part in listed})),),
        )
        self._slices = {id_: (budget, basis, who, at) for id_, budget, basis, who, at in rows}
        rows = database.query(
            f"SELECT id, spec FROM budget WHERE {database.any_of('id')}",  # noqa: S608
            (database.listed(sorted({part.budget for part in listed})),),
        )
        self._specs = {id_: msgspec.json.decode(spec, type=BudgetSpec) for id_, spec in rows}

    def _move(self, item: CorrectionItem, charged: _Charged, part: HoldPart) -> _Move | None:
        spec = self._specs.get(part.budget)
        if spec is None or spec.unit == "requests":
            return None
        if spec.unit == "usd":
            offset = part.spent - charged.cost
            now, low, after = charged.now_nano, charged.low_nano, item.after
            now, low, after = now + offset, low + offset, after + offset
        elif item.tokens is None:
            return None
        else:
            now = part.spent if charged.now_tokens is None else charged.now_tokens
            low = now if charged.low_tokens is None else min(part.spent, charged.low_tokens)
            after = item.tokens
        if after > now:
            return _Move(part.slice_id, self._account(part, charged), after - now, 0, 0)
        within = max(0, min(part.spent, part.amount, low))
        over = min(now - after, max(0, now - within))
        account = self._account(part, charged, exactly=True)
        return _Move(part.slice_id, account, 0, over, min(now - after - over, within))

    def _account(
        self, part: HoldPart, charged: _Charged, *, exactly: bool = False
    ) -> Account | None:
        """The account that the hold was in, while its window is the present one.

        `exactly`: only where it cannot have been another one.
        """
        spec = self._specs[part.budget]
        present = spec.window(self._now)
        if part.slice_id in self._slices:
            account = self._slices[part.slice_id]
            return account if account[1] == spec.basis and account[3] == present[0] else None
        if spec.window(charged.started_at // 1000) != present:
            return None
        if exactly and spec.window(charged.run_at // 1000) != present:
            return None
        if not self._store.counts_as(spec, charged.generation):
            return None
        return (spec.id, spec.basis, part.subject, present[0])

    def _raise(self, raised: Mapping[Account, int]) -> None:
        limits = {
            account: (self._specs[account[0]].window(self._now)[1], self._specs[account[0]].limit)
            for account in raised
        }
        self._store.accounts.open_accounts(limits)
        self._store.accounts.add_overrun(raised)

    def _unspend(
        self,
        spent: Sequence[tuple[str, int, Account]],
        owed: list[tuple[Account, int, int]],
    ) -> dict[Account, int]:
        """Slices that are open have spent less: it comes back when they are closed. One that was
        closed meanwhile is owed by its account."""
        changed = self._store.database.execute_many(
            "UPDATE slice SET spent = spent - ?, wanted = 1 WHERE id = ? AND spent >= ?",
            [(amount, id_, amount) for id_, amount, _ in spent],
        )
        returned: dict[Account, int] = {}
        for (_, amount, account), count in zip(spent, changed, strict=True):
            if count:
                returned[account] = returned.get(account, 0) + amount
            else:
                owed.append((account, 0, amount))
        return returned

    def _release(self, owed: Sequence[tuple[Account, int, int]]) -> dict[Account, int]:
        wanted: dict[Account, tuple[int, int]] = {}
        for account, over, within in owed:
            before = wanted.get(account, (0, 0))
            wanted[account] = (before[0] + over, before[1] + within)
        database = self._store.database
        figures = self._store.accounts.figures(sorted(wanted), for_update=True)
        open_sums = database.query_many(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM slice "  # noqa: S608
            f"WHERE {OF_ACCOUNT}",
            sorted(figures),
        )
        returned: dict[Account, int] = {}
        changes: list[tuple[object, ...]] = []
        for account, ((held,),) in zip(sorted(figures), open_sums, strict=True):
            over, within = wanted[account]
            stands = figures[account]
            within_part = max(0, min(within, stands.granted - held))
            over_part = min(over + within - within_part, stands.overrun)
            returned[account] = over_part + within_part
            granted = stands.granted - within_part
            changes.append((granted, max(stands.limit, granted), over_part, *account))
        database.execute_many(
            "UPDATE account SET granted = ?, enforced = ?, overrun = overrun - ? "  # noqa: S608
            f"WHERE {OF_ACCOUNT}",
            changes,
        )
        return returned


def _joined(first: Mapping[Account, int], second: Mapping[Account, int]) -> dict[Account, int]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in {*first, *second}}


def _by_unit(amounts: Mapping[Account, int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, basis, _, _), amount in amounts.items():
        if amount:
            unit = basis.partition("/")[0]
            totals[unit] = totals.get(unit, 0) + amount
    return totals

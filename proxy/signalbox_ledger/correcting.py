"""Corrections: what a provider really billed, posted beside what the ledger charged.

Called by the authority inside its transaction. Nothing recorded is ever edited: a correction is a
new charge of the run, kept by attempt and by the digest of the bill's line, so that the same line
counts once. Accounts follow while their window is the present one: more goes to `overrun`, less is
given back, out of what this attempt had put there and never below what open slices hold.
"""

from collections.abc import Sequence

import msgspec

from signalbox_ledger import run_store
from signalbox_ledger.corrected_accounts import Charged, CorrectedAccounts
from signalbox_ledger.desk_protocol import Correct, Corrected, CorrectionItem
from signalbox_ledger.records import Charge, HoldPart
from signalbox_ledger.store import Store


def correct(store: Store, request: Correct, now_ms: int) -> Corrected:
    """Post what is not posted yet. An item whose run is unknown, or was corrected meanwhile, is
    named in the answer and left as it is."""
    charged = _charged(store, request.items)
    fresh: list[tuple[CorrectionItem, Charged]] = []
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
    raised, returned = CorrectedAccounts(store, now_ms // 1000).post(fresh)
    return Corrected(
        booked=len(fresh), known=known, changed=changed, raised=raised, returned=returned
    )


def _charged(store: Store, items: Sequence[CorrectionItem]) -> dict[tuple[str, int], Charged]:
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
    found: dict[tuple[str, int], Charged] = {}
    for position, key in enumerate(keys):
        if not attempts[position]:
            continue
        cost, holds, started_at = attempts[position][0]
        now_nano = cost + sums[position][0][0]
        tokens = [row[2] for row in posted[position] if row[2] is not None]
        found[key] = Charged(
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
    store: Store, request: Correct, fresh: Sequence[tuple[CorrectionItem, Charged]], now_ms: int
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

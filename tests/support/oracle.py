"""The judge of every money test: the provider's own bill, held against the ledger.

The bill counts pico-USD and never rounds; the ledger counts nano-USD and rounds each line up. So
for the same answers 0 <= ledger - bill < 1 nano-USD for each line of the ledger.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString, cast

import msgspec
import psycopg

from support.timing import at_most

PICO_PER_NANO = 1000


@dataclass(frozen=True)
class Books:
    """What the ledger says of some runs, in nano-USD, beside what the provider billed for them."""

    runs: int
    ledger_nano: int
    lines: int
    unknown_nano: int
    bill_pico: int
    billed: int

    def assert_equal(self) -> None:
        """The ledger is the bill, but for rounding; holds where nothing was lost on the way."""
        assert self.unknown_nano == 0, self
        self.assert_covered()
        difference = self.ledger_nano * PICO_PER_NANO - self.bill_pico
        assert difference < max(1, self.lines) * PICO_PER_NANO, self

    def assert_covered(self) -> None:
        """The ledger is never below the bill."""
        assert self.ledger_nano * PICO_PER_NANO >= self.bill_pico, self


@dataclass(frozen=True)
class AttemptLine:
    """One attempt in the ledger beside the provider's line for the same request."""

    run_id: str
    number: int
    request_id: str
    host: str
    outcome: str
    settlement: str
    bound_nano: int
    cost_nano: int
    lines: int
    bill_pico: int

    def assert_right(self) -> None:
        """Never above its hold, never below the bill, and equal to it where usage was told."""
        assert self.cost_nano <= self.bound_nano, self
        difference = self.cost_nano * PICO_PER_NANO - self.bill_pico
        assert difference >= 0, self
        if self.settlement == "usage":
            assert difference < max(1, self.lines) * PICO_PER_NANO, self
        elif self.settlement == "full":
            assert self.cost_nano > 0, self
        else:
            assert self.cost_nano == 0, self


@dataclass
class Oracle:
    """Reads both sides of one installation: `state` is the folder of `signalbox up`, `dsn` where
    its ledger is, if that is PostgreSQL."""

    state: Path
    dsn: str = field(default="", repr=False)

    @property
    def bill_path(self) -> Path:
        return self.state / "simulator" / "bill.jsonl"

    def bill(self) -> list[dict[str, Any]]:
        """All lines of the bill that are whole."""
        if not self.bill_path.exists():
            return []
        raw = self.bill_path.read_bytes()
        return [msgspec.json.decode(line) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the ledger, read-only."""
        if self.dsn:
            with psycopg.connect(self.dsn, options="-c default_transaction_read_only=on") as there:
                statement = cast("LiteralString", sql.replace("?", "%s"))
                rows = there.execute(statement, values).fetchall()
            # Sums of bigint come as Decimal.
            return [tuple(int(v) if isinstance(v, Decimal) else v for v in row) for row in rows]
        connection = sqlite3.connect(f"file:{self.state / 'ledger.db'}?mode=ro", uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def attempts(self, agent: str | None = None) -> list[AttemptLine]:
        """Every attempt of one agent, or of all, with what the provider billed for it."""
        billed: dict[str, dict[str, Any]] = {line["request_id"]: line for line in self.bill()}
        rows = self.query(
            "SELECT a.run_id, a.number, a.provider_request_id, a.outcome, a.settlement,"
            " a.bound_nano_usd, a.cost_nano_usd, (SELECT COUNT(*) FROM charge_record c"
            " WHERE c.run_id = a.run_id AND c.attempt = a.number)"
            " FROM attempt a JOIN inference_run r USING (run_id)"
            f" WHERE {'TRUE' if agent is None else 'r.agent = ?'} ORDER BY a.run_id, a.number",
            *(() if agent is None else (agent,)),
        )
        lines = []
        for run_id, number, request_id, *rest in rows:
            line = billed.get(request_id, {})
            amount = line.get("amount_pico_usd", 0)
            host = line.get("host", "")
            lines.append(AttemptLine(run_id, number, request_id, host, *rest, amount))
        return lines

    def books(self, agent: str | None = None) -> Books:
        """Both sides for one agent, matched by the provider's request id; for all with None."""
        where = (
            ""
            if agent is None
            else "WHERE run_id IN (SELECT run_id FROM inference_run WHERE agent = ?)"
        )
        values = () if agent is None else (agent,)
        (runs,) = self.query(
            f"SELECT COUNT(*) FROM inference_run {where and 'WHERE agent = ?'}", *values
        )[0]
        ledger, lines = self.query(
            f"SELECT COALESCE(SUM(cost_nano_usd), 0), COUNT(*) FROM charge_record {where}", *values
        )[0]
        unknown = self.query(
            "SELECT COALESCE(SUM(cost_nano_usd), 0) FROM charge_record "
            f"{where or 'WHERE TRUE'} AND kind <> 'usage'",
            *values,
        )[0][0]
        wanted = Counter(
            row[0]
            for row in self.query(f"SELECT provider_request_id FROM attempt {where}", *values)
        )
        billed = [line for line in self.bill() if agent is None or line["request_id"] in wanted]
        return Books(
            runs=runs,
            ledger_nano=ledger,
            lines=lines,
            unknown_nano=unknown,
            bill_pico=sum(line["amount_pico_usd"] for line in billed),
            billed=len(billed),
        )


def eventually(condition: Callable[[], Any], *, limit_s: float = 60.0, what: str = "") -> Any:
    """Asks until the answer is true, or fails at the deadline."""
    deadline = time.monotonic() + at_most(limit_s)
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what or condition}; last: {answer!r}")
        time.sleep(0.05)

"""The books at the end of a seed: what the ledger says of every attempt, against the bill.

Reads the tables as anybody may. Amounts of the bill are pico-USD, those of the ledger nano-USD,
each line rounded up.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.judge import PICO, AccountKey, Judge, Sent
from simulation.scheduler import MICRO, World


@dataclass(slots=True)
class Figures:
    """What one seed came to."""

    overspend_nano: int = 0
    ledger_under_bill_nano: int = 0
    leaked_holds: int = 0
    false_refusals: int = 0
    spent: int = 0
    limit: int = 0


@dataclass(slots=True)
class Books:
    """Settles one seed's accounts."""

    judge: Judge
    gone: set[str]
    """Holders whose journal was lost with their machine."""
    figures: Figures = field(default_factory=Figures)
    _in_full: dict[AccountKey, int] = field(default_factory=lambda: defaultdict(int))
    """What was charged for calls whose end is unknown: a run that ended and was not journalled
    may have given back of its slice what recovery then charges above it."""

    @property
    def world(self) -> World:
        return self.judge.world

    def close(self) -> Figures:
        """Check everything; violations go to the world."""
        self.figures.false_refusals = self.judge.false_refusals
        self._check_limits()
        self._check_attempts()
        self._check_accounts()
        if self.judge.scenario.calm:
            self._check_share()
        return self.figures

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        return self.judge.durable.connection.execute(statement).fetchall()

    def _billed(self, sent: Sent) -> list[tuple[str, int]]:
        """What the bill for one attempt comes to in each slice, in thousandths of the unit."""
        line = sent.line
        rest: dict[tuple[str, str], int] = {}
        shares = []
        units = {plan.id: plan.unit for plan in self.judge.scenario.plans[1].values()}
        for slice_id, budget, subject, amount in sent.parts:
            key = (budget, subject)
            if key not in rest:
                if units[budget] == "requests":
                    rest[key] = PICO
                elif line is None:
                    rest[key] = 0
                else:
                    rest[key] = line.pico if units[budget] == "usd" else line.tokens * PICO
            share = min(rest[key], amount * PICO)
            rest[key] -= share
            shares.append((slice_id, share))
        return shares

    def _check_limits(self) -> None:
        """Of every draw: what was billed in the slices up to it is within the limit of then."""
        judge = self.judge
        by_slice: dict[str, int] = defaultdict(int)
        for sent in judge.sent.values():
            for slice_id, share in self._billed(sent):
                by_slice[slice_id] += share
        for account, slices in judge.draws.items():
            billed = 0
            for slice_id in slices:
                drawn = judge.slices[slice_id]
                billed += by_slice[slice_id]
                over = billed - drawn.limit * PICO
                if over > 0:
                    self.figures.overspend_nano += -(-over // PICO)
                    self.world.violate(f"{account}: billed {billed} pico above {drawn}")
                    break

    def _check_attempts(self) -> None:
        """Every attempt that was sent is in exactly one run, and charged what was billed."""
        rows = self._query(
            "SELECT a.run_id, a.number, a.outcome, a.settlement, a.cost_nano_usd, r.holder,"
            " (SELECT COUNT(*) FROM charge_record c WHERE c.run_id = a.run_id"
            "  AND c.attempt = a.number), a.holds"
            " FROM attempt a JOIN inference_run r USING (run_id)"
        )
        recorded = {(row[0], row[1]): row for row in rows}
        if len(recorded) != len(rows):
            self.world.violate("an attempt is recorded twice")
        sent = {(one.run_id, one.number): one for one in self.judge.sent.values()}
        if len(sent) != len(self.judge.sent):
            self.world.violate("an attempt was sent twice")
        for key, one in sent.items():
            row = recorded.get(key)
            if row is None:
                if one.holder not in self.gone:
                    self.world.violate(f"{key} of {one.holder} was sent and is in no run")
                continue
            self._check_charge(one, *row[2:5], row[6])
            self._check_holds(one, row[3], row[4], json.loads(row[7]))
        for key, row in recorded.items():
            if key not in sent and row[3] != "released" and row[2] != "cut":
                self.world.violate(f"{key} is recorded as {row[2:5]} and was never sent")

    def _check_charge(
        self, sent: Sent, outcome: str, settlement: str, cost: int, lines: int
    ) -> None:
        bill = sent.line.pico if sent.line is not None else 0
        difference = cost * PICO - bill
        name = f"{sent.run_id}/{sent.number} ({outcome}, {settlement})"
        if difference < 0:
            self.figures.ledger_under_bill_nano += -(difference // PICO)
            self.world.violate(f"{name} costs {cost} nano and was billed {bill} pico")
        elif settlement == "usage" and difference >= max(1, lines) * PICO:
            self.world.violate(f"{name} costs {cost} nano in {lines} lines, billed {bill} pico")
        elif settlement in ("zero", "released") and cost:
            self.world.violate(f"{name} costs {cost} nano")

    def _check_holds(
        self, sent: Sent, settlement: str, cost: int, holds: list[dict[str, Any]]
    ) -> None:
        """What an attempt spent of its holds is what it cost, in the unit of each budget."""
        units = {plan.id: plan.unit for plan in self.judge.scenario.plans[1].values()}
        tokens = sent.line.tokens if sent.line is not None and settlement == "usage" else 0
        wanted = {"usd": cost, "tokens": tokens, "requests": 1}
        spent: dict[tuple[str, str], int] = defaultdict(int)
        for part in holds:
            spent[part["budget"], part["subject"]] += part["spent"]
        for (budget, subject), amount in spent.items():
            if settlement in ("usage", "zero") and amount != wanted[units[budget]]:
                self.world.violate(
                    f"{sent.run_id}/{sent.number} cost {cost} nano and {tokens} tokens, and spent "
                    f"{amount} of {budget} {subject!r}"
                )

    def _check_forgotten(self, spent: Mapping[AccountKey, int], known: set[AccountKey]) -> None:
        """An account stays until its window has ended, or what was spent would be there again."""
        now = (self.judge.scenario.start_us + self.world.now) // MICRO
        for account in spent.keys() - known:
            end = self.judge.slices[self.judge.draws[account][-1]].end
            if spent[account] and (end == 0 or end > now):
                self.world.violate(f"{account} is forgotten; runs spent {spent[account]} of it")

    def _check_accounts(self) -> None:
        """Nothing is held, and what is granted is what runs and losses spent."""
        leaked = self._query("SELECT id, amount, spent FROM slice WHERE amount > spent")
        if leaked:
            self.figures.leaked_holds += len(leaked)
            self.world.violate(f"{len(leaked)} slices are still held: {leaked[:3]}")
        spent = self._spent()
        rows = self._query(
            "SELECT budget, basis, subject, window_start, granted, overrun, enforced FROM account"
        )
        self._check_forgotten(spent, {(row[0], row[1], row[2], row[3]) for row in rows})
        for *key, granted, overrun, enforced in rows:
            account: AccountKey = (key[0], key[1], key[2], key[3])
            if granted + overrun != spent.get(account, 0) or granted > enforced:
                self.world.violate(
                    f"{account} has granted {granted} and overrun {overrun}, enforced {enforced}; "
                    f"runs spent {spent.get(account, 0)}"
                )
            # A run of a slice that came and went while a database forgot is settled above it.
            if overrun > self._in_full.get(account, 0) and not self.judge.scenario.promotes:
                self.world.violate(f"{account} was overrun by {overrun}")

    def _spent(self) -> dict[AccountKey, int]:
        """What runs and slice losses spent of each account."""
        spent: dict[AccountKey, int] = defaultdict(int)
        for holds, settlement in self._query("SELECT holds, settlement FROM attempt"):
            for part in json.loads(holds):
                drawn = self.judge.slices.get(part["slice_id"])
                if drawn is not None:
                    spent[drawn.account] += part["spent"]
                    if settlement == "full":
                        self._in_full[drawn.account] += part["spent"]
                elif part["spent"]:
                    self.world.violate(f"{part} was spent in a slice that was never drawn")
        for *key, amount in self._query(
            "SELECT budget, basis, subject, window_start, amount FROM slice_loss"
        ):
            spent[key[0], key[1], key[2], key[3]] += amount
        return spent

    def _check_share(self) -> None:
        """Of budgets that refused, how much was spent: what is left is less than one hold."""
        for budget, basis, subject, start, granted in self._query(
            "SELECT budget, basis, subject, window_start, granted FROM account"
        ):
            drawn = self.judge.draws.get((budget, basis, subject, start), [])
            if not drawn or (budget, subject) not in self.judge.exhausted:
                continue
            limit = self.judge.slices[drawn[-1]].limit
            self.figures.spent += granted * 10**6 // limit if limit else 0
            self.figures.limit += 10**6

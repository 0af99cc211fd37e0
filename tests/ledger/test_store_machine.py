"""The store against a plain model: whatever is done to it, accounts add up."""

import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from signalbox_ledger.protocol import DrawItem, ReturnItem
from signalbox_ledger.sqlite_store import FencedError, SqliteStore
from support.ledgers import budget

HOLDERS = ("a", "b", "c")
SUBJECTS = ("", "u1")
HOUR = 3600


@dataclass
class ModelSlice:
    holder: str
    account: tuple[str, int]
    amount: int
    spent: int = 0


@dataclass
class Model:
    limit: int
    slices: dict[str, ModelSlice] = field(default_factory=dict)
    closed: dict[tuple[str, int], int] = field(default_factory=dict)
    overrun: dict[tuple[str, int], int] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)

    def granted(self, account: tuple[str, int]) -> int:
        held = sum(one.amount for one in self.slices.values() if one.account == account)
        return held + self.closed.get(account, 0)

    def settled(self, account: tuple[str, int]) -> int:
        spent = sum(one.spent for one in self.slices.values() if one.account == account)
        return spent + self.closed.get(account, 0)

    def headroom(self, account: tuple[str, int]) -> int:
        return self.limit - self.granted(account) - self.overrun.get(account, 0)

    def close(self, slice_id: str) -> None:
        gone = self.slices.pop(slice_id)
        self.closed[gone.account] = self.closed.get(gone.account, 0) + gone.spent


class StoreMachine(RuleBasedStateMachine):
    slices = Bundle("slices")

    @initialize(limit=st.integers(0, 2000))
    def open(self, limit: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.folder.name) / "ledger.db")
        self.model = Model(limit)
        self.now = 1_700_000_000
        self.generation = 0
        self.number = 0
        self.configure(limit)
        with self.store.transaction():
            for holder in HOLDERS:
                self.store.open_holder(holder, holder, 0)

    def configure(self, limit: int) -> None:
        self.generation += 1
        self.model.limit = limit
        with self.store.transaction():
            spec = budget("ns/b", limit, every="hour", per="user")
            self.store.configure(self.generation, [spec], self.now)

    @property
    def window(self) -> int:
        return self.now // HOUR * HOUR

    @rule(
        target=slices,
        holder=st.sampled_from(HOLDERS),
        subject=st.sampled_from(SUBJECTS),
        needs=st.lists(st.integers(0, 800), max_size=4),
        want=st.integers(0, 500),
    )
    def draw(self, holder: str, subject: str, needs: list[int], want: int) -> str:
        self.number += 1
        slice_id = f"s{self.number}"
        account = (subject, self.window)
        before = self.model.headroom(account)
        item = DrawItem(slice_id, "ns/b", subject, needs, 0, want)
        spec = self.store.specs["ns/b"]
        if holder in self.model.fenced:
            with pytest.raises(FencedError), self.store.transaction():
                self.store.check_holder(holder)
            return slice_id
        with self.store.transaction():
            grant = self.store.accounts.draw(holder, item, spec, now=self.now)
            again = self.store.accounts.draw(holder, item, spec, now=self.now)
        assert grant.amount <= max(0, before)
        if grant.amount:
            self.model.slices[slice_id] = ModelSlice(holder, account, grant.amount)
            assert (again.amount, again.window_start) == (grant.amount, grant.window_start)
        elif needs and min(needs) > 0:
            assert min(needs) > before  # no false refusal
        return slice_id

    @rule(slice_id=slices, spent=st.integers(0, 900))
    def spend(self, slice_id: str, spent: int) -> None:
        one = self.model.slices.get(slice_id)
        holder = one.holder if one else "a"
        with self.store.transaction():
            unborne = self.store.accounts.spend(holder, slice_id, spent)
            account = self.store.accounts.account_of_slice(slice_id)
            if account is not None and unborne:
                self.store.accounts.add_overrun(account, unborne, end=0, limit=0)
        if one is None:
            assert unborne == spent
            return
        borne = min(spent, one.amount - one.spent)
        one.spent += borne
        if spent > borne:
            over = self.model.overrun
            over[one.account] = over.get(one.account, 0) + spent - borne

    @rule(slice_id=slices, keep=st.integers(0, 500))
    def shrink(self, slice_id: str, keep: int) -> None:
        one = self.model.slices.get(slice_id)
        for _ in range(2):
            with self.store.transaction():
                item = ReturnItem(slice_id, keep, close=False)
                self.store.accounts.give_back(one.holder if one else "a", item)
        if one is not None:
            one.amount = max(one.spent, min(one.amount, keep))

    @rule(slice_id=consumes(slices))
    def close(self, slice_id: str) -> None:
        one = self.model.slices.get(slice_id)
        for _ in range(2):
            with self.store.transaction():
                item = ReturnItem(slice_id, 0, close=True)
                self.store.accounts.give_back(one.holder if one else "a", item)
        if one is not None:
            self.model.close(slice_id)

    @rule(limit=st.integers(0, 2500))
    def move_limit(self, limit: int) -> None:
        self.configure(limit)
        excess = {
            one.account
            for one in self.model.slices.values()
            if self.model.headroom(one.account) < 0
        }
        wanted = {id_ for holder in HOLDERS for id_ in self.store.accounts.wanted(holder)}
        current = {id_ for id_, one in self.model.slices.items() if one.account in excess}
        assert {
            id_ for id_ in current if self.model.slices[id_].account[1] >= self.window
        } <= wanted

    @precondition(lambda self: len(self.model.fenced) < 2)
    @rule(holder=st.sampled_from(HOLDERS), lost=st.booleans())
    def end_holder(self, holder: str, lost: bool) -> None:
        for _ in range(2):
            with self.store.transaction():
                self.store.fence(holder, holder, 0)
                if lost:
                    self.store.post_loss(holder, 0)
                else:
                    self.store.finish_holder(holder)
        for id_ in [id_ for id_, one in self.model.slices.items() if one.holder == holder]:
            if lost:
                self.model.slices[id_].spent = self.model.slices[id_].amount
            self.model.close(id_)
        self.model.fenced.add(holder)

    @rule(seconds=st.integers(1, HOUR))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(Path(self.folder.name) / "ledger.db")

    @rule(slice_id=slices)
    def a_failed_transaction_leaves_nothing(self, slice_id: str) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            self.spend_and_break(slice_id)

    def spend_and_break(self, slice_id: str) -> None:
        with self.store.transaction():
            self.store.accounts.spend("a", slice_id, 1)
            self.store.connection.execute(
                "INSERT INTO slice (id, holder, budget, basis, subject, window_start, amount) "
                "VALUES ('x', 'a', '', '', '', 0, -1)"
            )

    @invariant()
    def accounts_are_those_of_the_model(self) -> None:
        spec = self.store.specs["ns/b"]
        for start in {self.window, *(one.account[1] for one in self.model.slices.values())}:
            held = self.store.accounts.held_at(spec, start)
            for subject, figures in self.store.accounts.largest_at(spec, start, held, 9):
                account = (subject, start)
                assert figures.granted == self.model.granted(account)
                assert figures.settled == self.model.settled(account)
                assert figures.overrun == self.model.overrun.get(account, 0)
                assert 0 <= figures.held <= figures.granted
        rows = self.store.connection.execute(
            "SELECT COUNT(*) FROM account WHERE granted > enforced OR enforced < limit_amount "
            "OR (granted <= limit_amount AND enforced <> limit_amount AND window_end > ?)",
            (self.now,),
        )
        assert rows.fetchone() == (0,)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.mark.proof
class TestStoreMachineAtLength(StoreMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=500, stateful_step_count=100, deadline=None)

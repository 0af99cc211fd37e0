"""The authority's money against a plain model: whatever is asked, however often, accounts add up.

Requests come as holders send them: repeated, late, on connections that were replaced, of processes
that are dead. After each step the tables are those of the model, to the unit.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.database import RuleBrokenError
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest, ReadmitBy
from signalbox_ledger.journal import RECORD, frame_run
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import (
    Configure,
    Done,
    Draw,
    DrawItem,
    Drawn,
    Fence,
    Finish,
    Hello,
    Lost,
    Poll,
    Polled,
    PostLoss,
    PresentedSlice,
    Refused,
    Return,
    ReturnItem,
    Settle,
    Settled,
    Welcome,
)
from signalbox_ledger.readmitting import LIVE_MS
from signalbox_ledger.records import HoldPart
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.figures import sized
from support.ledgers import budget, run_of
from support.newer_tables import upgrade_further

HOLDERS = ("a", "b", "c", "d")
BUDGETS = ("ns/user-hour", "ns/all")
SUBJECTS = ("", "u1", "u2")
HOUR = 3600

Open = Callable[[], tuple[Callable[[], Store], Callable[[], None]]]
"""Makes an empty ledger: gives what opens it, and what ends it."""

Key = tuple[str, str, int]
"""Budget, subject, start of the window."""


@dataclass
class ModelSlice:
    holder: str
    account: Key
    amount: int
    spent: int = 0


@dataclass
class Written:
    """An entry of a journal: what its run held of one slice, and the account of its instant."""

    entry: bytes
    part: HoldPart
    account: Key


@dataclass
class ModelHolder:
    """`journal` is what it wrote, entry by entry; `settled` how many of its bytes count."""

    name: str
    session: Session
    replaced: list[Session] = field(default_factory=list)
    journal: list[Written] = field(default_factory=list)
    settled: int = 0
    fenced: bool = False

    @property
    def ends(self) -> list[int]:
        """Offsets behind its entries, from 0."""
        found = [0]
        for written in self.journal:
            found.append(found[-1] + len(written.entry))
        return found

    @property
    def data(self) -> bytes:
        return b"".join(written.entry for written in self.journal)


@dataclass
class Process:
    """Whose runs they are, for `run_of`."""

    holder_id: str
    now: int

    def now_ms(self) -> int:
        return self.now * 1000


@dataclass
class Model:
    limits: dict[str, int] = field(default_factory=dict)
    row_limits: dict[Key, int] = field(default_factory=dict)
    slices: dict[str, ModelSlice] = field(default_factory=dict)
    closed: dict[Key, int] = field(default_factory=dict)
    overrun: dict[Key, int] = field(default_factory=dict)
    lost: int = 0

    def granted(self, account: Key) -> int:
        amounts = (one.amount for one in self.slices.values() if one.account == account)
        return sum(amounts) + self.closed.get(account, 0)

    def headroom(self, account: Key) -> int:
        limit = self.row_limits.get(account, self.limits[account[0]])
        return limit - self.granted(account) - self.overrun.get(account, 0)

    def close(self, slice_id: str) -> None:
        gone = self.slices.pop(slice_id)
        self.closed[gone.account] = self.closed.get(gone.account, 0) + gone.spent

    def spend(self, holder: str, written: list["Written"]) -> None:
        """What a settlement does: slices bear what was held in them, the rest is overrun, of the
        window in which the run began where the slice is closed."""
        for slice_id in {entry.part.slice_id for entry in written}:
            of_slice = [entry for entry in written if entry.part.slice_id == slice_id]
            within = sum(min(one.part.spent, one.part.amount) for one in of_slice)
            found = self.slices.get(slice_id)
            if found is not None and found.holder == holder:
                borne = min(within, found.amount - found.spent)
                found.spent += borne
                total = sum(one.part.spent for one in of_slice)
                self.post(found.account, total - borne)
                continue
            for one in of_slice:
                self.post_to_budget(one, max(0, one.part.spent - one.part.amount))
            self.post_to_budget(of_slice[-1], within)

    def post_to_budget(self, written: "Written", amount: int) -> None:
        budget_ = written.account[0]
        if amount and budget_ in self.limits:
            self.row_limits.setdefault(written.account, self.limits[budget_])
            self.post(written.account, amount)

    def post(self, account: Key, amount: int) -> None:
        self.overrun[account] = self.overrun.get(account, 0) + amount


class StoreMachine(RuleBasedStateMachine):
    """`where` opens a new, empty ledger: what gives the store, and what ends it."""

    where: Open

    @initialize(limits=st.tuples(st.integers(0, 2000), st.integers(0, 2000)))
    def begin(self, limits: tuple[int, int]) -> None:
        self.open_store, self.forget = type(self).where()
        self.store = self.open_store()
        self.now = 1_700_000_000
        self.generation = 0
        self.number = 0
        self.frozen = False
        self.frozen_ms = 0
        self.last: tuple[str, Draw, list[int]] | None = None
        self.model = Model()
        self.holders: dict[str, ModelHolder] = {}
        self.incarnations = 0
        self.configure(dict(zip(BUDGETS, limits, strict=True)))
        for name in HOLDERS:
            self.be_born(name)

    # How the authority is asked

    def ask(self, session: Session, request: AnyRequest) -> AnyReply:
        with self.store.transaction():
            return Service(self.store).answer(session, request, self.now * 1000)

    def tell(self, name: str, request: AnyRequest) -> AnyReply:
        return self.ask(self.holders[name].session, request)

    def desk(self, request: AnyRequest, *, fenced: str = "") -> AnyReply:
        session = Session()
        if fenced:
            assert isinstance(self.ask(session, Fence(fenced)), Settled)
        return self.ask(session, request)

    def specs(self) -> dict[str, BudgetSpec]:
        forms = {"ns/user-hour": {"every": "hour", "per": "user"}, "ns/all": {}}
        limits = self.model.limits
        return {id_: budget(id_, limits[id_], **forms[id_]) for id_ in BUDGETS if id_ in limits}

    def window(self, id_: str) -> int:
        return self.now // HOUR * HOUR if id_ == "ns/user-hour" else 0

    def configure(self, limits: dict[str, int]) -> None:
        self.generation += 1
        self.model.limits = dict(limits)
        specs = list(self.specs().values())
        session = Session()
        self.ask(session, Configure(self.generation, specs))
        for holder in self.holders.values():
            holder.session.generation = self.generation
        for account in self.model.row_limits:
            if account[0] in limits and account[2] >= self.window(account[0]):
                self.model.row_limits[account] = limits[account[0]]

    def be_born(self, name: str) -> None:
        self.incarnations += 1
        holder = f"{name}-{self.incarnations}"
        session = Session(generation=self.generation)
        self.holders[name] = ModelHolder(holder, session)
        assert isinstance(self.ask(session, Hello(name, holder)), Welcome)

    # Rules

    @rule(
        name=st.sampled_from(HOLDERS),
        items=st.lists(
            st.tuples(
                st.sampled_from(BUDGETS),
                st.sampled_from(SUBJECTS),
                st.lists(st.integers(0, 800), max_size=3),
                st.integers(0, 500),
            ),
            min_size=1,
            max_size=3,
        ),
    )
    def draw(self, name: str, items: list[tuple[str, str, list[int], int]]) -> None:
        asked = []
        for id_, subject, needs, want in items:
            self.number += 1
            slice_id = f"s{self.number}"
            of_subject = subject if id_ == "ns/user-hour" else ""
            spec = self.specs().get(id_)
            basis = spec.basis if spec else "gone"
            asked.append(DrawItem(slice_id, id_, of_subject, needs, 0, want, basis))
        reply = self.tell(name, Draw(asked))
        if self.frozen:
            assert isinstance(reply, Refused)
            assert reply.reason == "frozen"
            return
        assert isinstance(reply, Drawn)
        for item, grant in zip(asked, reply.grants, strict=True):
            if item.budget not in self.model.limits:
                assert (grant.amount, grant.figures) == (0, None)
                continue
            account = (item.budget, item.subject, self.window(item.budget))
            before = self.model.headroom(account)
            assert grant.amount <= max(0, before)
            smallest = min((need for need in item.needs if need), default=0)
            assert grant.amount or not smallest or smallest > before  # no false refusal
            if grant.amount:
                self.model.row_limits.setdefault(account, self.model.limits[item.budget])
                holder = self.holders[name].name
                self.model.slices[item.slice_id] = ModelSlice(holder, account, grant.amount)
        self.last = name, Draw(asked), [grant.amount for grant in reply.grants]

    @precondition(lambda self: self.last is not None and not self.frozen)
    @rule()
    def a_draw_that_comes_again_gives_the_same_slices(self) -> None:
        assert self.last is not None
        name, draw, amounts = self.last
        open_ones = [item.slice_id in self.model.slices for item in draw.items]
        again = [item for item, is_open in zip(draw.items, open_ones, strict=True) if is_open]
        if again:
            reply = self.tell(name, Draw(again))
            assert isinstance(reply, Drawn)
            for item, grant in zip(again, reply.grants, strict=True):
                assert grant.amount == self.model.slices[item.slice_id].amount <= max(amounts)

    @precondition(lambda self: self.model.slices)
    @rule(data=st.data(), spent=st.integers(0, 900), amount=st.integers(0, 600))
    def record(self, data: st.DataObject, spent: int, amount: int) -> None:
        """A run ends: what it held of a slice, and what it cost, stands in its holder's journal."""
        slice_id, one = self.pick(data)
        holder = self.holder_of(one)
        if holder is None:
            return
        self.number += 1
        id_, subject, _ = one.account
        part = HoldPart(slice_id=slice_id, budget=id_, subject=subject, amount=amount, spent=spent)
        process = Process(holder.name, self.now)
        run = run_of(process, f"r{self.number}", (part,), generation=self.generation)
        account = (id_, subject, self.window(id_))
        holder.journal.append(Written(frame_run(RECORD, run), part, account))

    @rule(data=st.data(), name=st.sampled_from(HOLDERS), again=st.booleans())
    def settle(self, data: st.DataObject, name: str, again: bool) -> None:
        holder = self.holders[name]
        start = holder.ends.index(holder.settled)
        end = data.draw(st.integers(start, len(holder.journal)), "up to entry")
        self.settle_span(holder, end)
        if again:  # a settlement that comes again, or late, counts once
            first = data.draw(st.integers(0, end), "again from entry")
            span = holder.data[holder.ends[first] : holder.ends[end]]
            reply = self.tell(name, Settle(holder.name, holder.ends[first], span))
            assert isinstance(reply, Settled)
            assert reply.offset == holder.settled

    def settle_span(self, holder: ModelHolder, end: int, session: Session | None = None) -> None:
        start = holder.ends.index(holder.settled)
        span = holder.data[holder.settled : holder.ends[end]]
        request = Settle(holder.name, holder.settled, span)
        reply = self.ask(session or holder.session, request)
        assert isinstance(reply, Settled)
        assert reply.offset == holder.ends[end]
        self.model.spend(holder.name, holder.journal[start:end])
        holder.settled = holder.ends[end]

    @rule(name=st.sampled_from(HOLDERS), beyond=st.integers(1, 50))
    def journal_bytes_that_leave_a_gap_are_refused(self, name: str, beyond: int) -> None:
        holder = self.holders[name]
        reply = self.tell(name, Settle(holder.name, holder.settled + beyond, b"x"))
        assert isinstance(reply, Refused)
        assert (reply.reason, reply.offset) == ("gap", holder.settled)

    @precondition(lambda self: self.model.slices)
    @rule(data=st.data(), keep=st.integers(0, 500), close=st.booleans(), times=st.integers(1, 2))
    def give_back(self, data: st.DataObject, keep: int, close: bool, times: int) -> None:
        slice_id, one = self.pick(data)
        holder = self.holder_of(one)
        if holder is None:
            return
        for _ in range(times):
            reply = self.ask(holder.session, Return([ReturnItem(slice_id, keep, close=close)]))
            assert isinstance(reply, Done)
        one.amount = max(one.spent, min(one.amount, keep))
        if close:
            one.amount = one.spent
            self.model.close(slice_id)

    @precondition(lambda self: self.model.slices)
    @rule(data=st.data(), name=st.sampled_from(HOLDERS))
    def nobody_gives_back_what_another_holds(self, data: st.DataObject, name: str) -> None:
        slice_id, one = self.pick(data)
        if one.holder != self.holders[name].name:
            self.tell(name, Return([ReturnItem(slice_id, 0, close=True)]))

    @rule(name=st.sampled_from(HOLDERS))
    def connect_again(self, name: str) -> None:
        holder = self.holders[name]
        holder.replaced.append(holder.session)
        holder.session = Session(generation=self.generation)
        mine = {id_: one for id_, one in self.model.slices.items() if one.holder == holder.name}
        presented = [
            PresentedSlice(
                id_,
                one.account[0],
                self.basis_of(one.account[0]),
                one.account[1],
                one.account[2],
                one.account[2] + HOUR if one.account[2] else 0,
                one.amount,
            )
            for id_, one in mine.items()
        ]
        hello = Hello(name, holder.name, holder.settled, presented)
        reply = self.ask(holder.session, hello)
        assert isinstance(reply, Welcome)
        assert (reply.offset, reply.strays) == (holder.settled, [])

    def basis_of(self, id_: str) -> str:
        return budget(every="hour").basis if id_ == "ns/user-hour" else budget().basis

    @precondition(lambda self: any(one.replaced for one in self.holders.values()))
    @rule(data=st.data())
    def a_connection_that_was_replaced_is_not_heard(self, data: st.DataObject) -> None:
        names = sorted(name for name, one in self.holders.items() if one.replaced)
        holder = self.holders[data.draw(st.sampled_from(names), "whose")]
        old = data.draw(st.sampled_from(holder.replaced), "which")
        item = DrawItem("stale", BUDGETS[1], "", [1], 0, 0, self.basis_of(BUDGETS[1]))
        for request in (
            Draw([item]),
            Return([ReturnItem(id_, 0, close=True) for id_ in self.model.slices]),
            Settle(holder.name, holder.settled, b""),
            Poll(),
        ):
            reply = self.ask(old, request)
            assert isinstance(reply, Refused)
            assert reply.reason == "replaced"

    @rule(limits=st.tuples(st.integers(0, 2500), st.integers(0, 2500)))
    def move_limits(self, limits: tuple[int, int]) -> None:
        before = self.model.limits.keys()
        moved = {id_: limit for id_, limit in zip(BUDGETS, limits, strict=True) if id_ in before}
        self.configure(moved)
        self.what_is_above_the_limit_is_wanted_back()

    def what_is_above_the_limit_is_wanted_back(self) -> None:
        wanted: set[str] = set()
        for name in HOLDERS:
            reply = self.tell(name, Poll())
            assert isinstance(reply, Polled)
            wanted |= set(reply.wanted)
        for id_, one in self.model.slices.items():
            in_force = one.account[0] in self.model.limits
            current = in_force and one.account[2] == self.window(one.account[0])
            if current and self.model.headroom(one.account) < 0:
                assert id_ in wanted

    @rule(id_=st.sampled_from(BUDGETS), limit=st.integers(0, 2000))
    def delete_or_make_again(self, id_: str, limit: int) -> None:
        limits = dict(self.model.limits)
        if limits.pop(id_, None) is None:
            limits[id_] = limit
        self.configure(limits)

    @rule(name=st.sampled_from(HOLDERS), times=st.integers(1, 2))
    def a_process_dies_and_is_recovered(self, name: str, times: int) -> None:
        holder = self.holders[name]
        session = Session()
        for _ in range(times):
            reply = self.ask(session, Fence(holder.name))
            assert isinstance(reply, Settled)
            assert reply.offset == holder.settled
        self.is_fenced(holder)
        self.settle_span(holder, len(holder.journal), session)
        for _ in range(times):
            assert isinstance(self.ask(session, Finish(holder.name)), Done)
        self.end(holder)
        self.be_born(name)

    @rule(name=st.sampled_from(HOLDERS), times=st.integers(1, 2))
    def a_process_dies_with_its_journal(self, name: str, times: int) -> None:
        holder = self.holders[name]
        mine = [one for one in self.model.slices.values() if one.holder == holder.name]
        lost = sum(one.amount - one.spent for one in mine)
        for _ in range(times):
            reply = self.desk(PostLoss(holder.name))
            assert isinstance(reply, Lost)
            assert sum(reply.amounts.values()) == lost
        for one in mine:
            one.spent = one.amount
        self.model.lost += lost
        self.is_fenced(holder)
        self.end(holder)
        self.be_born(name)

    def is_fenced(self, holder: ModelHolder) -> None:
        reply = self.ask(holder.session, Poll())
        assert isinstance(reply, Refused)
        assert reply.reason == "fenced"
        reply = self.ask(Session(), Hello("again", holder.name))
        assert isinstance(reply, Refused)

    def end(self, holder: ModelHolder) -> None:
        for id_ in [id_ for id_, one in self.model.slices.items() if one.holder == holder.name]:
            self.model.close(id_)

    @rule()
    def freeze_and_readmit(self) -> None:
        if self.frozen:
            is_early = self.now * 1000 < self.frozen_ms + LIVE_MS
            reply = self.desk(ReadmitBy("somebody"))
            assert isinstance(reply, Refused if is_early else Done)
            if is_early:
                return
        else:
            self.frozen_ms = self.now * 1000
            with self.store.transaction():
                self.store.freeze("a standby was promoted", self.now * 1000)
        self.frozen = not self.frozen

    @rule(seconds=st.integers(1, HOUR))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def the_authority_starts_again(self) -> None:
        self.store.close()
        self.store = self.open_store()

    @precondition(lambda self: self.model.slices)
    @rule(data=st.data())
    def a_transaction_that_fails_leaves_nothing(self, data: st.DataObject) -> None:
        slice_id, one = self.pick(data)
        with pytest.raises(RuleBrokenError):
            self.spend_and_break(one.holder, slice_id)

    def spend_and_break(self, holder: str, slice_id: str) -> None:
        with self.store.transaction():
            self.store.accounts.spend(holder, {slice_id: 1})
            self.store.database.execute(
                "INSERT INTO slice (id, holder, budget, basis, subject, window_start, amount) "
                "VALUES ('x', ?, '', '', '', 0, -1)",
                (holder,),
            )

    def pick(self, data: st.DataObject) -> tuple[str, ModelSlice]:
        slice_id = data.draw(st.sampled_from(sorted(self.model.slices)), "slice")
        return slice_id, self.model.slices[slice_id]

    def holder_of(self, one: ModelSlice) -> ModelHolder | None:
        return next((each for each in self.holders.values() if each.name == one.holder), None)

    # What holds after each step

    @invariant()
    def the_tables_are_those_of_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.transaction():
            query = self.store.database.query
            slices = query("SELECT id, holder, amount, spent FROM slice")
            accounts = query(
                "SELECT budget, subject, window_start, limit_amount, enforced, granted, overrun, "
                "window_end FROM account"
            )
            offsets = dict(query("SELECT holder, journal_offset FROM settled_journal"))
            losses = query("SELECT COALESCE(SUM(amount), 0) FROM slice_loss")
        model = self.model
        assert {row[0]: row[1:] for row in slices} == {
            id_: (one.holder, one.amount, one.spent) for id_, one in model.slices.items()
        }
        touched = {one.account for one in model.slices.values()} | model.closed.keys()
        assert touched <= {row[:3] for row in accounts}
        for *key, limit, enforced, granted, overrun, end in accounts:
            account: Key = (key[0], key[1], key[2])
            assert granted == model.granted(account)
            assert overrun == model.overrun.get(account, 0)
            assert granted <= enforced
            is_held = any(one.account == account for one in model.slices.values())
            if is_held or not account[1]:  # draws bring users up to date that nobody holds
                assert limit == model.row_limits[account]
            if account[0] in model.limits and (end == 0 or end > self.now):
                assert enforced == max(limit, granted)
        for holder in self.holders.values():
            assert offsets.get(holder.name, 0) == holder.settled
        assert losses == [(model.lost,)]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.forget()


def copied(content: bytes) -> tuple[Callable[[], Store], Callable[[], None]]:
    """A ledger of its own with the content of an empty one."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "ledger.db"
    path.write_bytes(content)
    return partial(Store, partial(open_database, path)), folder.cleanup


@pytest.fixture(scope="module")
def on_file(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Copies of one empty ledger: tables take longer to make than to fill."""
    empty = tmp_path_factory.mktemp("ledger") / "empty.db"
    open_database(empty).close()
    return partial(copied, empty.read_bytes())


def run_machine(where: Open, *, examples: int, steps: int) -> None:
    machine = type("Machine", (StoreMachine,), {"where": staticmethod(where)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_file_keeps_to_the_model(on_file: Open) -> None:
    run_machine(on_file, examples=25, steps=40)


def test_a_file_that_a_newer_release_upgraded_keeps_to_the_model(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    empty = tmp_path_factory.mktemp("newer") / "empty.db"
    with closing(open_database(empty)) as database:
        upgrade_further(database)
    run_machine(partial(copied, empty.read_bytes()), examples=10, steps=40)


@pytest.mark.proof
def test_a_file_keeps_to_the_model_at_length(on_file: Open) -> None:
    run_machine(on_file, examples=sized(500, 50_000), steps=sized(100, 200))


@pytest.mark.parametrize(
    ("examples", "steps"), [(4, 25), pytest.param(40, 60, marks=pytest.mark.proof)]
)
def test_a_server_keeps_to_the_model(postgres_server, examples: int, steps: int) -> None:
    def on_server() -> tuple[Callable[[], Store], Callable[[], None]]:
        name = postgres_server.create_database()
        dsn = postgres_server.dsn(name)
        return partial(Store, partial(open_database, dsn)), lambda: None

    run_machine(on_server, examples=examples, steps=steps)


def test_a_server_that_a_newer_release_upgraded_keeps_to_the_model(postgres_server) -> None:
    def on_server() -> tuple[Callable[[], Store], Callable[[], None]]:
        dsn = postgres_server.dsn(postgres_server.create_database())
        with closing(open_database(dsn)) as database:
            upgrade_further(database)
        return partial(Store, partial(open_database, dsn)), lambda: None

    run_machine(on_server, examples=3, steps=25)

"""Two transactions on one database, one step of which falls between two steps of the other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from signalbox_ledger import idempotency
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.database import ConflictError
from signalbox_ledger.desk_protocol import ReadmitBy
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import (
    ClaimKey,
    Configure,
    Done,
    Draw,
    DrawItem,
    Drawn,
    Hello,
    PostLoss,
    PresentedSlice,
    Refused,
    Return,
    ReturnItem,
    Settled,
    Skip,
)
from signalbox_ledger.readmitting import LIVE_MS
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.oracle import eventually

DAY = budget(limit=100)
WEEK_MS = 7 * 86_400 * 1000


def ask(store: Store, session: Session, request: object, now_ms: int = 0) -> object:
    with store.transaction():
        return Service(store).answer(session, request, now_ms)  # type: ignore[arg-type]


def draw(id_: str, need: int, spec: BudgetSpec = DAY) -> Draw:
    return Draw([DrawItem(id_, spec.id, "", [need], 0, 0, spec.basis)])


def presented(id_: str, amount: int) -> PresentedSlice:
    return PresentedSlice(id_, DAY.id, DAY.basis, "", window_start=0, window_end=0, amount=amount)


def session_of(store: Store, holder: str, *slices: PresentedSlice, told: int = 0) -> Session:
    session = Session()
    ask(store, session, Hello(holder, holder, told, list(slices)))
    return session


def before(step: Callable[..., object], other: Callable[[], object]) -> Callable[..., object]:
    """`step`, with what another authority does just before it."""

    def both(*arguments: object, **named: object) -> object:
        other()
        return step(*arguments, **named)

    return both


def somebody_waits(store: Store) -> bool:
    return bool(store.database.query("SELECT 1 FROM pg_locks WHERE NOT granted"))


@pytest.fixture
def pair(postgres_dsn: str) -> Iterator[tuple[Store, Store]]:
    """Two authorities."""
    first, second = (Store(partial(open_database, postgres_dsn)) for _ in range(2))
    ask(first, Session(), Configure(1, [DAY]))
    yield first, second
    first.close()
    second.close()


def test_what_comes_back_in_the_middle_of_a_draw_is_not_taken_for_spent(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    asking, idle = session_of(here, "p"), session_of(there, "q")
    ask(there, idle, draw("q.1", 60))
    back = Return([ReturnItem("q.1", 0, close=True)])
    recall = before(here.granting._recall, lambda: ask(there, idle, back))
    monkeypatch.setattr(here.granting, "_recall", recall)
    reply = ask(here, asking, draw("p.1", 50))
    assert isinstance(reply, Drawn)
    figures = reply.grants[0].figures
    assert figures is not None
    assert figures.remaining == 100, "nothing was ever spent: who asks again gets it"


def test_what_is_drawn_while_a_machine_is_written_off_is_written_off_with_it(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    alive = session_of(there, "q")
    ask(there, alive, draw("q.1", 10))
    late: list[object] = []

    def draws() -> None:
        there.database.execute("SET lock_timeout = 200")
        try:
            late.append(ask(there, alive, draw("q.2", 50)))
        except Exception as error:  # noqa: BLE001 - it waits, and then is not heard
            late.append(error)

    finish = before(here.holders.finish, draws)
    monkeypatch.setattr(here.holders, "finish", finish)
    with here.transaction():
        here.holders.post_loss("q", 0)
    got = [reply for reply in late if isinstance(reply, Drawn) and reply.grants[0].amount]
    with here.transaction():
        ((granted,),) = here.database.query("SELECT granted FROM account")
    assert granted == 10 + 50 * len(got)


def test_what_is_drawn_while_a_holder_finishes_is_closed_with_it(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    alive = session_of(there, "q")
    ask(there, alive, draw("q.1", 10))
    fence = before(here.holders._fence, lambda: ask(there, alive, draw("q.2", 50)))
    monkeypatch.setattr(here.holders, "_fence", fence)
    with here.transaction():
        here.holders.finish("q")
    with here.transaction():
        assert here.database.query("SELECT id FROM slice") == []
        assert here.database.query("SELECT granted FROM account") == [(0,)]


def test_an_account_that_was_lost_is_made_again_under_the_budgets_in_force(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    session_of(here, "q", told=7)  # frozen already
    lower = budget(limit=50)
    there_first: list[object] = []

    def configures() -> None:
        if there_first:
            return
        there.database.execute("SET lock_timeout = 200")
        there_first.append(None)
        try:
            ask(there, Session(), Configure(2, [lower]))
        except Exception as error:  # noqa: BLE001 - it waits for the other, and is repeated
            there_first.append(error)

    # Between what the transaction read first and what it locks.
    monkeypatch.setattr(here, "hold_state", before(here.hold_state, configures))
    with pytest.raises(ConflictError):  # its turn is tried again
        session_of(here, "p", presented("p.1", 10))
    assert there_first == [None]
    session_of(here, "p", presented("p.1", 10))
    ask(there, Session(), Configure(2, [lower]))
    with here.transaction():
        rows = here.database.query("SELECT limit_amount FROM account")
    assert rows == [(50,)]


def test_a_key_that_is_claimed_anew_while_expired_ones_are_forgotten_is_kept(
    pair: tuple[Store, Store],
) -> None:
    here, there = pair

    def claim(run_id: str, now_ms: int) -> None:
        request = ClaimKey("retail/support", bytes(32), bytes(32), run_id)
        idempotency.claim(there.database, request, "p", now_ms)

    def forget() -> int:
        with here.transaction():
            return idempotency.forget_expired(here.database, idempotency.KEPT_MS, 10)

    with there.transaction():
        claim("r1", 0)
    with ThreadPoolExecutor(1) as pool:
        with there.transaction():
            claim("r2", idempotency.KEPT_MS)
            forgetting = pool.submit(forget)
            eventually(lambda: forgetting.done() or somebody_waits(there), what="it waits")
        assert forgetting.result() == 0
    with here.transaction():
        assert here.database.query("SELECT run_id FROM idempotency_key") == [("r2",)]


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    store = open_store()
    ask(store, Session(), Configure(1, [DAY]))
    return store


def test_a_fenced_holder_that_was_opened_long_ago_stays_fenced(store: Store) -> None:
    session = session_of(store, "p")
    ask(store, session, draw("p.1", 10))
    later = 2 * WEEK_MS
    with store.transaction():
        store.holders.heard_of(["p"], later)
        store.holders.post_loss("p", later)
        store.forget_ended(later // 1000 + 60)
    refused = ask(store, Session(), Hello("p", "p", 7, [presented("p.1", 10)]), later)
    assert isinstance(refused, Refused)
    assert refused.reason == "fenced"


def test_nobody_is_readmitted_while_somebody_settles_again(store: Store) -> None:
    """What it spent and gave back since is not known yet, and would be granted once more."""
    session = session_of(store, "p", presented("p.1", 10), told=77)
    for _ in range(2):
        refused = ask(store, Session(), ReadmitBy("somebody"), LIVE_MS)
        assert isinstance(refused, Refused)
        assert refused.reason == "frozen"
        assert refused.message.startswith("p still settles again what this database has lost")
        assert ask(store, session, Skip("p", 0, 70, {"p.1": 4})) == Settled(70)
    assert ask(store, session, Skip("p", 70, 77, {"p.1": 4})) == Settled(77)
    assert ask(store, Session(), ReadmitBy("somebody"), LIVE_MS) == Done()
    assert isinstance(ask(store, session, draw("p.2", 1)), Drawn)
    more = ask(store, session, Skip("p", 77, 99, {}))
    assert isinstance(more, Refused), "nobody told it that this was settled"


def test_who_is_written_off_is_not_waited_for(store: Store) -> None:
    session_of(store, "p", presented("p.1", 10), told=77)
    assert isinstance(ask(store, Session(), ReadmitBy("somebody"), LIVE_MS), Refused)
    ask(store, Session(), PostLoss("p"))
    assert ask(store, Session(), ReadmitBy("somebody"), LIVE_MS) == Done()


def test_holders_of_which_a_restored_copy_knows_nothing_new_have_time_to_present_what_they_hold(
    open_store: Callable[[], Store],
) -> None:
    """They were heard of last when the backup was taken, as those that are gone for good."""
    before = open_store()
    ask(before, Session(), Configure(1, [DAY]))
    session_of(before, "p")
    with before.transaction():
        before.database.execute("UPDATE ledger_state SET identity = 'server/00000001'")
    restored = open_store()
    with restored.transaction():
        since_ms = restored.state.frozen_at
    for too_soon_ms in (since_ms + 5_000, since_ms + LIVE_MS - 1):
        refused = ask(restored, Session(), ReadmitBy("somebody"), too_soon_ms)
        assert isinstance(refused, Refused)
        assert refused.reason == "frozen"
        seconds = 25 if too_soon_ms == since_ms + 5_000 else 1
        when = f"ask again in {seconds} s (at {timestamp_text(since_ms + LIVE_MS)})"
        assert refused.message.endswith(when)
    session = session_of(restored, "p", presented("p.1", 100))
    assert ask(restored, Session(), ReadmitBy("somebody"), since_ms + LIVE_MS) == Done()
    drawn = ask(restored, session, draw("p.2", 1))
    assert isinstance(drawn, Drawn)
    assert drawn.grants[0].amount == 0, "all of the limit was granted before"


def test_a_copy_that_took_the_place_of_a_frozen_one_is_waited_for_anew(
    open_store: Callable[[], Store],
) -> None:
    before = open_store()
    with before.transaction():
        before.freeze("a test", 1_000)
        before.database.execute("UPDATE ledger_state SET identity = 'server/00000001'")
    promoted = open_store()
    with promoted.transaction():
        now_ms = promoted.now_ms()
        assert promoted.state.frozen_at == 1_000
    assert isinstance(ask(promoted, Session(), ReadmitBy("somebody"), now_ms), Refused)
    assert ask(promoted, Session(), ReadmitBy("somebody"), now_ms + LIVE_MS) == Done()


@pytest.mark.parametrize("readmits_first", [True, False])
def test_who_finds_out_that_commits_were_lost_while_somebody_readmits_is_heard(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch, readmits_first: bool
) -> None:
    """Draws are frozen already, so that it has nothing to write there."""
    here, there = pair
    with here.transaction():
        here.freeze("a test", 0)

    def says_hello() -> None:
        session_of(there, "q", told=77)

    def readmits() -> None:
        ask(here, Session(), ReadmitBy("somebody"), LIVE_MS)

    with ThreadPoolExecutor(1) as pool:
        other: list[Future[None]] = []

        def waits(step: Callable[[], None]) -> None:
            other.append(pool.submit(step))
            mine = here if readmits_first else there
            eventually(lambda: other[0].done() or somebody_waits(mine), what="it waits")

        if readmits_first:
            late = before(here.readmit, partial(waits, says_hello))
            monkeypatch.setattr(here, "readmit", late)
            readmits()
        else:
            late = before(there.accounts.open_slices, partial(waits, readmits))
            monkeypatch.setattr(there.accounts, "open_slices", late)
            says_hello()
        other[0].result()
    with here.transaction():
        assert here.state.frozen, "q has spent what is not settled here"


def test_live_holders_present_what_they_hold_to_another_database_before_draws_flow(
    open_store: Callable[[], Store],
) -> None:
    """A holder that the copy knows, of whom it was heard a moment ago: it is on its way here."""
    before = open_store()
    ask(before, Session(), Configure(1, [DAY]))
    with before.transaction():
        before_ms = before.now_ms() - 1_000
        before.database.execute("UPDATE ledger_state SET identity = 'server/00000001'")
    for holder in ("p", "q"):
        ask(before, Session(), Hello(holder, holder), before_ms)
    promoted = open_store()
    with promoted.transaction():
        since_ms = promoted.now_ms()
    ask(promoted, Session(), Hello("p", "p"), since_ms)
    refused = ask(promoted, Session(), ReadmitBy("somebody"), since_ms)
    assert isinstance(refused, Refused)
    assert refused.message.startswith("q was heard of 30 s ago at most and has not presented")
    assert ask(promoted, Session(), ReadmitBy("somebody"), since_ms + 31_000) == Done()


def test_limits_move_without_waiting_for_every_user(pair: tuple[Store, Store]) -> None:
    here, there = pair
    each, lower = (budget("ns/each", limit=limit, per="user") for limit in (100, 30))
    ask(here, Session(), Configure(2, [each]))
    session = session_of(here, "p")
    for user in ("idle", "busy"):
        item = DrawItem(f"p.{user}", each.id, user, [40], 0, 0, each.basis)
        ask(here, session, Draw([item]))
    ask(here, session, Return([ReturnItem("p.idle", 0, close=True)]))
    here.database.execute("SET lock_timeout = 200")
    with there.transaction():
        there.database.execute("UPDATE account SET overrun = 1 WHERE subject = 'idle'")
        ask(here, Session(), Configure(3, [lower]))
    for user, affords in (("idle", 29), ("busy", 0)):
        asked = [
            DrawItem(f"p.{user}.{need}", each.id, user, [need], 0, 0, each.basis)
            for need in (30, 29)
        ]
        drawn = ask(here, session, Draw(asked))
        assert isinstance(drawn, Drawn)
        assert [grant.amount for grant in drawn.grants] == [0, affords]
    wanted = here.accounts.wanted("p")
    assert wanted == ["p.busy"], "what is above the limit comes back at once"

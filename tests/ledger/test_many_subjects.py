"""A budget per user with a hundred thousand users: nothing that happens often costs more for it."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from signalbox_ledger import status
from signalbox_ledger.protocol import DrawItem, Hello
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.timing import cpu_s, least, wall_s

NOON = 1_777_636_800
DAY = 86_400
START = NOON - DAY // 2
SLACK_S = 0.02
"""A busy machine's; twenty draws that each read all rows would take ten times as long."""

AT_ONCE = 5_000
"""Rows of one statement: PostgreSQL gives one up after five seconds."""

SPEC = budget("ns/users", 1000, per="user", every="day")


class Crowd:
    """A store with as many accounts as wanted, drawn from by one holder."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.users = 0
        self.slices = 0
        with store.transaction():
            store.configure(1, [SPEC], NOON)
            store.open_holder(Hello("p0", "p0"), 0)

    def grow(self, users: int) -> None:
        """Accounts of users who have spent something, each another amount."""
        columns = ("budget", "basis", "subject", "window_start", "window_end", "limit_amount")
        for begin in range(self.users, users, AT_ONCE):
            with self.store.transaction():
                self.store.database.insert(
                    "account",
                    (*columns, "enforced", "granted"),
                    [
                        (
                            SPEC.id,
                            SPEC.basis,
                            f"u{n:06}",
                            START,
                            START + DAY,
                            1000,
                            1000,
                            n * 7 % 900,
                        )
                        for n in range(begin, min(begin + AT_ONCE, users))
                    ],
                )
        self.users = users

    def draw(self) -> None:
        """Twenty draws in one transaction, of users that are there and of new ones."""
        with self.store.transaction():
            for _ in range(20):
                self.slices += 1
                known = self.slices % 2 and self.slices < self.users
                subject = f"u{self.slices:06}" if known else f"new{self.slices}"
                item = DrawItem(f"s{self.slices}", SPEC.id, subject, [1], 0, 0, SPEC.basis)
                (grant,) = self.store.granting.draw("p0", [item], self.store.specs, now=NOON)
                assert grant.amount == 1

    def report(self) -> status.StatusReport:
        with self.store.transaction():
            return status.report(self.store, top=5, now_ms=NOON * 1000)

    def forget(self) -> Iterator[bool]:
        """Transaction by transaction, as the authority does it, until nothing is left."""
        while True:
            with self.store.transaction():
                more = self.store.forget_ended(START + DAY + 61)
            yield more
            if not more:
                return


@pytest.fixture
def crowd(open_store: Callable[[], Store]) -> Crowd:
    return Crowd(open_store())


def test_a_draw_costs_the_same_however_many_users_there_are(crowd: Crowd) -> None:
    draw_s = partial(wall_s, crowd.draw)
    few = least(draw_s, 0.0, tries=7)
    crowd.grow(20_000)
    bound = 4 * few + SLACK_S
    assert least(draw_s, bound) < bound


def test_status_finds_those_with_the_least_among_many(crowd: Crowd) -> None:
    """The most spent, and one whose provider billed more than was held."""
    crowd.grow(3000)
    with crowd.store.transaction():
        crowd.store.accounts.add_overrun({(SPEC.id, SPEC.basis, "u000001", START): 995})
    (found,) = crowd.report().budgets
    assert (found.subjects, found.exhausted_subjects) == (3000, 1)
    assert found.figures.granted == sum(n * 7 % 900 for n in range(3000))
    assert found.figures.overrun == 995
    least = sorted(1000 - n * 7 % 900 for n in range(3000) if n != 1)[:4]
    assert [each.figures.remaining for each in found.top] == [-2, *least]
    assert (found.top[0].subject, found.remaining) == ("u000001", -2)


def test_accounts_go_a_thousand_at_a_time_when_their_window_is_over(crowd: Crowd) -> None:
    crowd.grow(2500)
    crowd.draw()
    assert list(crowd.forget()) == [True, True, False]
    with crowd.store.transaction():
        ((left,),) = crowd.store.database.query("SELECT COUNT(*) FROM account")
    assert left == 20  # slices of these are still held


@pytest.mark.proof
def test_a_hundred_thousand_users(crowd: Crowd) -> None:
    draw_s = partial(wall_s, crowd.draw)
    few = least(draw_s, 0.0, tries=7)
    crowd.grow(100_000)
    bound = 4 * few + SLACK_S
    many = least(draw_s, bound)
    # PostgreSQL has to look at every row that no vacuum has seen yet.
    in_process = crowd.store.database.dialect == "sqlite"
    took_s, shown_bound = (cpu_s, 0.1) if in_process else (wall_s, 0.4)
    shown = least(partial(took_s, crowd.report), shown_bound)
    forgotten = crowd.forget()
    forget_s = least(partial(took_s, lambda: next(forgotten)), 0.4)
    print(f"draw_ms_few={few * 50:.2f} draw_ms_many={many * 50:.2f} status_ms={shown * 1000:.0f}")
    assert many < bound
    assert shown < shown_bound
    assert forget_s < 0.4

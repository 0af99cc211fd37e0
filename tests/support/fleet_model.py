"""A proxy's money without network or clock: real sizing, drawing and housekeeping, moved by events.

`Market` is an authority that has all rules and no database; `ModelProxy` is what a proxy does with
its slices, driven by a heap of events in seconds. Whatever would travel is counted in `Counts`.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from signalbox_ledger.accounts import BudgetSpec, Figures, grant_amount
from signalbox_ledger.draw_orders import DrawOrders
from signalbox_ledger.holder import Claim, Hold, Holdings
from signalbox_ledger.protocol import DrawItem, Grant, ReturnItem
from signalbox_ledger.records import HoldPart

START = 1_700_000_000
ROUND_TRIP_S = 0.002
TICK_S = 0.1
FLUSH_S = 0.1
POLL_S = (1.0, 0.25)


@dataclass
class Traffic:
    """Holds of `bound` that end after `seconds` with `share` percent of it spent."""

    per_second: float
    bound: int
    share: int
    seconds: float
    claims: int = 1
    subjects: int = 0


@dataclass
class Account:
    limit: int
    granted: int = 0
    slices: dict[str, tuple[int, int]] = field(default_factory=dict)  # amount, spent


class Market:
    """Grants slices by the ledger's own rules."""

    def __init__(self, specs: Sequence[BudgetSpec]) -> None:
        self.specs = {spec.id: spec for spec in specs}
        self.is_away = False
        self.counts: Counter[str] = Counter()
        self.granted_sizes: list[int] = []
        self._accounts: dict[tuple[str, str], Account] = {}
        self._of_slice: dict[str, Account] = {}

    def _account(self, budget: str, subject: str) -> Account:
        key = budget, subject
        if key not in self._accounts:
            self._accounts[key] = Account(self.specs[budget].limit)
        return self._accounts[key]

    def headroom(self, budget: str, subject: str = "") -> int:
        account = self._account(budget, subject)
        return account.limit - account.granted

    def held(self, budget: str) -> int:
        """What lies in open slices of all subjects and is not spent."""
        return sum(
            amount - spent
            for (id_, _), account in self._accounts.items()
            if id_ == budget
            for amount, spent in account.slices.values()
        )

    def draw(self, items: Sequence[DrawItem]) -> list[Grant]:
        self.counts["draws"] += 1
        self.counts["draw_items"] += len(items)
        return [self._grant(item) for item in items]

    def _grant(self, item: DrawItem) -> Grant:
        account = self._account(item.budget, item.subject)
        exact = self.specs[item.budget].per is not None and item.subject != ""
        amount, unmet = grant_amount(
            account.limit - account.granted,
            needs=item.needs,
            free=item.free,
            want=item.want,
            exact=exact,
        )
        if amount:
            account.granted += amount
            assert account.granted <= account.limit
            account.slices[item.slice_id] = amount, 0
            self._of_slice[item.slice_id] = account
            self.granted_sizes.append(amount)
        self.counts["unmet"] += unmet > 0
        figures = Figures(account.limit, account.granted, None, 0)
        return Grant(item.slice_id, amount, 0, 0, figures)

    def give_back(self, items: Sequence[ReturnItem]) -> None:
        self.counts["returns"] += 1
        for item in items:
            account = self._of_slice.get(item.slice_id)
            if account is None:
                continue
            amount, spent = account.slices[item.slice_id]
            keep = spent if item.close else max(spent, min(amount, item.keep))
            account.granted -= amount - keep
            account.slices[item.slice_id] = keep, spent
            if item.close:
                del account.slices[item.slice_id], self._of_slice[item.slice_id]

    def settle(self, parts: Sequence[HoldPart]) -> None:
        self.counts["settlements"] += 1
        for part in parts:
            account = self._of_slice.get(part.slice_id)
            if account is not None:
                amount, spent = account.slices[part.slice_id]
                account.slices[part.slice_id] = amount, spent + min(part.spent, part.amount)


class ModelProxy:
    """One proxy: requests, draws (one in flight), settlements, housekeeping."""

    def __init__(self, market: Market, traffic: Traffic, *, seed: int, name: str = "p") -> None:
        self.market = market
        self.traffic = traffic
        self.holdings = Holdings()
        self.served = 0
        self.refused = 0
        self.waits: list[float] = []
        self.now_s = 0.0
        self._orders = DrawOrders(self.holdings, name)
        self._orders.specs = market.specs
        self._budgets = sorted(market.specs)
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._waiting: list[tuple[float, list[Claim]]] = []
        self._drawing = False
        self._ended: list[HoldPart] = []
        self._told_s = 0.0
        self._after(self._random.random(), self._second)
        self._after(self._random.random() / 10, self._tick)
        self._after(self._random.random() / 10, self._arrive)

    def run(self, *, until_s: float) -> None:
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
        self.now_s = until_s

    def free(self, budget: str) -> int:
        accounts = self.holdings.accounts.values()
        return sum(one.free_at(self._now) for one in accounts if one.budget == budget)

    @property
    def _now(self) -> int:
        return START + int(self.now_s)

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + seconds, next(self._number), event))

    # Requests

    def _arrive(self) -> None:
        traffic = self.traffic
        if not traffic.per_second:
            self._after(0.1, self._arrive)
            return
        self._after(self._random.uniform(0.5, 1.5) / traffic.per_second, self._arrive)
        budgets = self._random.sample(self._budgets, min(traffic.claims, len(self._budgets)))
        subject = f"u{self._random.randrange(traffic.subjects)}" if traffic.subjects else ""
        claims = [Claim(id_, subject, traffic.bound) for id_ in budgets]
        hold = self.holdings.try_hold(claims, self._now)
        if hold is not None:
            self._serve(hold)
            return
        if self.market.is_away:
            self.refused += 1
            return
        self._waiting.append((self.now_s, claims))
        self._draw()

    def _serve(self, hold: Hold) -> None:
        self.served += 1
        self._after(self.traffic.seconds, lambda: self._end(hold))

    def _end(self, hold: Hold) -> None:
        spent = self.traffic.bound * self.traffic.share // 100
        self._ended.extend(self.holdings.settle(hold, [spent] * (max(hold.claims, default=-1) + 1)))
        if len(self._ended) == len(hold.parts):
            self._after(FLUSH_S, self._flush)

    # What a proxy and the authority say to each other

    def _draw(self) -> None:
        if self._drawing or self.market.is_away:
            return
        waiting = self._waiting
        accounts, items = self._orders.next([claims for _, claims in waiting], self._now)
        if not items:
            return
        self._drawing = True
        self._told_s = self.now_s
        grants = self.market.draw(items)

        def drawn() -> None:
            self._drawing = False
            for account, item, grant in zip(accounts, items, grants, strict=True):
                self.holdings.granted(account, grant, upcoming=item.upcoming)
            still = []
            for since, claims in self._waiting:
                hold = self.holdings.try_hold(claims, self._now)
                if hold is not None:
                    self.waits.append(self.now_s - since)
                    self._serve(hold)
                elif self.now_s - since > 2:
                    self.refused += 1
                else:
                    still.append((since, claims))
            self._waiting = still
            if still or not self._orders.is_empty:
                self._after(0.04 if still else 0, self._draw)

        self._after(ROUND_TRIP_S, drawn)

    def _flush(self) -> None:
        if self.market.is_away:
            self._after(FLUSH_S, self._flush)
            return
        parts, self._ended = self._ended, []
        self.market.settle(parts)
        self._told_s = self.now_s
        self.holdings.acknowledge(parts)

    def _tick(self) -> None:
        self._after(TICK_S, self._tick)
        if self.market.is_away:
            return
        items = self.holdings.collect(self._now)
        if items:
            self._give_back(items)
        every = POLL_S[1] if self.holdings.near_limit else POLL_S[0]
        if not self.holdings.is_empty and self.now_s - self._told_s >= every:
            self._told_s = self.now_s
            self.market.counts["polls"] += 1

    def _give_back(self, items: list[ReturnItem]) -> None:
        self.market.give_back(items)

    def _second(self) -> None:
        self._after(1, self._second)
        self._orders.look_ahead(self._now)
        shed = self.holdings.shed(self._now)
        if shed and not self.market.is_away:
            self.market.give_back(shed)
        self._draw()

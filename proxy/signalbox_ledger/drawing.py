"""Draws slices for holds that wait and for those to come: one draw in flight, batched.

A hold that does not fit into the slices at hand waits here until a draw covers it, the authority
shows that no recall can (`exhausted`), its time is over (`held`), or the authority does not
answer (`unavailable`). Never refused for what merely lies idle elsewhere.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.connection import AuthorityConnection, Clock, LedgerUnavailableError
from signalbox_ledger.holder import Claim, HeldAccount, Hold, Holdings, Key
from signalbox_ledger.protocol import Draw, DrawItem, Drawn, Grant
from signalbox_ledger.shortage import (
    Shortage,
    ShortageReason,
    check_claims,
    release_surplus,
    shortage_of,
    tightest,
)

_POLL_S = 0.04
_BATCH = 1_000
"""Claims, and accounts drawn ahead, of one draw: with the longest names they fit into a frame."""

_ANSWER_S = (0.19, 0.04)
"""How long a hold waits for a first answer: twice, so that a stall of our own does not count."""


@dataclass(slots=True, eq=False)
class _Waiter:
    claims: Sequence[Claim]
    future: "asyncio.Future[Hold | Shortage]"
    asked_in: int = 0
    answered: bool = False
    impatient: bool = False
    lacks: dict[Key, Grant] = field(default_factory=dict)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Drawer:
    """The waiting holds of one proxy."""

    def __init__(
        self,
        holdings: Holdings,
        connection: AuthorityConnection,
        clock: Clock,
        *,
        holder: str,
        flush: Callable[[], None],
    ) -> None:
        self.specs: Mapping[str, BudgetSpec] = {}
        self.waiters: list[_Waiter] = []
        self._holdings = holdings
        self._connection = connection
        self._clock = clock
        self._holder = holder
        self._flush = flush
        self._wake = asyncio.Event()
        self._refills: dict[tuple[Key, bool], HeldAccount] = {}
        self._drawn = 0
        self._draws = 0

    async def hold(self, claims: Sequence[Claim], wait_s: float) -> Hold | Shortage:
        """Wait for a hold. Cancelled, it leaves nothing held. Raises ValueError for a claim
        that no account could bear."""
        check_claims(claims)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(claims, loop.create_future())
        waiter.timers = [
            loop.call_later(_ANSWER_S[0], self._check_answered, waiter),
            loop.call_later(wait_s, self._give_up, waiter),
        ]
        self.waiters.append(waiter)
        self._wake.set()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                result = waiter.future.result()
                if isinstance(result, Hold):
                    self._holdings.settle(result, [0] * len(claims))
            raise
        finally:
            for timer in waiter.timers:
                timer.cancel()
            with contextlib.suppress(ValueError):
                self.waiters.remove(waiter)

    def nudge(self) -> None:
        """Something was freed: serve who waits, were a draw in flight or not."""
        self._serve()

    def refill(self, account: HeldAccount, *, upcoming: bool) -> None:
        """Draw ahead of need, for the present or the upcoming window."""
        self._refills[(account.budget, account.subject), upcoming] = account
        self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._serve()
            while self.waiters or self._refills:
                unasked = any(not waiter.asked_in for waiter in self.waiters)
                if unasked or self._refills or loop.time() >= next_poll:
                    await self._draw()
                    next_poll = loop.time() + _POLL_S
                    if not unasked:
                        continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_poll):
                        await self._wake.wait()
                self._wake.clear()
                self._serve()

    async def _draw(self) -> None:
        asked = self._next_batch()
        self._draws += 1
        for waiter in asked:
            waiter.asked_in = self._draws
        accounts, items = self._items(asked)
        if not items:
            self._serve()
            return
        reply = await self._ask(items)
        if reply is None:
            self._fail_all()
            return
        self._clock.told(reply.now_ms)
        grants: dict[Key, Grant] = {}
        for account, item, grant in zip(accounts, items, reply.grants, strict=True):
            self._holdings.granted(account, grant)
            if not item.upcoming:
                grants[account.budget, account.subject] = grant
        for waiter in asked:
            waiter.answered = True
            keys = {(claim.budget, claim.subject) for claim in waiter.claims}
            waiter.lacks.update({key: grants[key] for key in keys & grants.keys()})
        self._serve()
        for waiter in asked:
            if waiter.impatient:
                self._give_up(waiter)
        if self.waiters:
            self._flush()

    def _next_batch(self) -> list[_Waiter]:
        """Whom to draw for, in order; where not all fit, those who waited longest for a draw."""
        room = _BATCH
        chosen: set[_Waiter] = set()
        for waiter in sorted(self.waiters, key=lambda waiter: waiter.asked_in):
            room -= len(waiter.claims)
            if room < 0 and chosen:
                break
            chosen.add(waiter)
        return [waiter for waiter in self.waiters if waiter in chosen]

    async def _ask(self, items: list[DrawItem]) -> Drawn | None:
        with contextlib.suppress(LedgerUnavailableError):
            reply = await self._connection.until_answered(Draw(items))
            if isinstance(reply, Drawn):
                return reply
        return None

    def _items(self, waiters: Sequence[_Waiter]) -> tuple[list[HeldAccount], list[DrawItem]]:
        now = self._clock.now_ms() // 1000
        needs: dict[Key, list[int]] = {}
        for waiter in waiters:
            for claim in waiter.claims:
                if claim.amount:
                    needs.setdefault((claim.budget, claim.subject), []).append(claim.amount)
        refills = dict(itertools.islice(self._refills.items(), _BATCH))
        for refill in refills:
            del self._refills[refill]
        accounts: list[HeldAccount] = []
        items: list[DrawItem] = []
        for key, amounts in needs.items():
            account = self._account(key)
            refills.pop((key, False), None)
            account.used_at = now
            accounts.append(account)
            items.append(self._item(account, amounts, account.free_at(now)))
        for (_, upcoming), account in refills.items():
            accounts.append(account)
            free = 0 if upcoming else account.free_at(now)
            items.append(self._item(account, [], free, upcoming=upcoming))
        return accounts, items

    def _item(
        self, account: HeldAccount, needs: list[int], free: int, *, upcoming: bool = False
    ) -> DrawItem:
        self._drawn += 1
        return DrawItem(
            slice_id=f"{self._holder}.{self._drawn}",
            budget=account.budget,
            subject=account.subject,
            needs=needs,
            free=free,
            want=max(0, account.wanted_ahead - free),
            basis=spec.basis if (spec := self.specs.get(account.budget)) else "",
            upcoming=upcoming,
        )

    def _account(self, key: Key) -> HeldAccount:
        spec = self.specs.get(key[0])
        exact = spec is not None and spec.per is not None and key[1] != ""
        return self._holdings.account(*key, exact=exact)

    def _serve(self) -> None:
        now = self._clock.now_ms() // 1000
        for waiter in list(self.waiters):
            if waiter.future.done():
                continue
            hold = self._holdings.try_hold(waiter.claims, now)
            if hold is not None:
                self._finish(waiter, hold)
            elif (lack := self._exhausted(waiter)) is not None:
                self._refuse(waiter, "exhausted", lack)
            elif any(grant.figures is None for grant in waiter.lacks.values()):
                self._refuse(waiter, "unavailable", None)

    def _exhausted(self, waiter: _Waiter) -> Claim | None:
        for claim in waiter.claims:
            grant = waiter.lacks.get((claim.budget, claim.subject))
            if grant and grant.figures and grant.figures.remaining < claim.amount:
                return claim
        return None

    def _check_answered(self, waiter: _Waiter, *, last: bool = False) -> None:
        if waiter.answered or waiter.future.done():
            return
        if last:
            self._refuse(waiter, "unavailable", None)
            return
        loop = asyncio.get_running_loop()
        waiter.timers.append(
            loop.call_later(_ANSWER_S[1], lambda: self._check_answered(waiter, last=True))
        )

    def _give_up(self, waiter: _Waiter) -> None:
        """Its time is over; the first answer of the authority is waited for all the same."""
        if waiter.future.done():
            return
        if waiter.answered:
            self._refuse(waiter, "held", None)
        else:
            waiter.impatient = True

    def _fail_all(self) -> None:
        for waiter in list(self.waiters):
            if not waiter.future.done():
                self._refuse(waiter, "unavailable", None)

    def _finish(self, waiter: _Waiter, result: Hold | Shortage) -> None:
        waiter.future.set_result(result)
        with contextlib.suppress(ValueError):
            self.waiters.remove(waiter)

    def _refuse(self, waiter: _Waiter, reason: ShortageReason, claim: Claim | None) -> None:
        now = self._clock.now_ms() // 1000
        lacking = claim or tightest(waiter.claims, self._holdings, now)
        key = (lacking.budget, lacking.subject)
        release_surplus(waiter.claims, self._holdings, lacking)
        shortage = shortage_of(
            lacking,
            reason,
            account=self._holdings.accounts.get(key),
            grant=waiter.lacks.get(key),
            spec=self.specs.get(lacking.budget),
            now=now,
        )
        self._finish(waiter, shortage)

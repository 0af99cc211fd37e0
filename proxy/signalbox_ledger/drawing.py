"""Draws slices for holds that wait and for those to come: one draw in flight, batched.

A hold that does not fit into the slices at hand waits here until a draw covers it, the authority
shows that no recall can (`exhausted`), its time is over (`held`), or the authority does not
answer (`unavailable`). Never refused for what merely lies idle elsewhere.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Collection, Sequence

from signalbox_ledger.connection import AuthorityConnection, Clock, LedgerUnavailableError
from signalbox_ledger.draw_orders import BATCH, DrawOrders
from signalbox_ledger.holder import Claim, HeldAccount, Hold, Holdings, Key
from signalbox_ledger.protocol import Draw, DrawItem, Drawn, Grant
from signalbox_ledger.pulse import Pulse
from signalbox_ledger.shortage import (
    Shortage,
    ShortageReason,
    check_claims,
    release_surplus,
    shortage_of,
    tightest,
)
from signalbox_ledger.waiting import Waiter, next_batch

_ASK_AGAIN_S = (0.04, 0.32)
"""While holds wait for money of others, draws are repeated at first and at last so often: a
thousand proxies that wait for one account must not keep the database from freeing it."""

_FRESH_S = 0.05
"""An answer that is older is asked for once more before a hold is refused for what others hold."""

_ANSWER_S = (0.23, 0.046)
"""How long a hold waits for a first answer, and in steps of what: a stall of our own, in which no
answer could be read, counts as one step, however long it was."""

_ALIVE_S = 10.0
"""How long it waits for one at most, where the authority's database answers others meanwhile."""

_SILENT_AFTER_S = 1.0
_SILENT_ANSWER_S = 0.01
"""Once the authority has said nothing for a second, a hold waits so long only."""

_MANY_WAITERS = 100
_MANY_WAITERS_S = 0.005


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
        on_wanted: Callable[[Sequence[str]], None],
        on_refused: Callable[[Sequence[str]], None],
    ) -> None:
        self.orders = DrawOrders(holdings, holder)
        self.waiters: list[Waiter] = []
        self._holdings = holdings
        self._connection = connection
        self._clock = clock
        self.pulse = Pulse(connection, lambda: not all(one.answered for one in self.waiters))
        self._on_wanted = on_wanted
        self._on_refused = on_refused
        self._flush = flush
        self._wake = asyncio.Event()
        self._draws = 0
        self._asked_at: float | None = None
        self._answered_at = 0.0
        self._in_vain = 0
        self._is_serving = False

    async def hold(self, claims: Sequence[Claim], wait_s: float) -> Hold | Shortage:
        """Wait for a hold. Cancelled, it leaves nothing held. Raises ValueError for a claim
        that no account could bear."""
        check_claims(claims)
        loop = asyncio.get_running_loop()
        waiter = Waiter(claims, loop.create_future(), loop.time())
        silent = self._is_silent(loop.time())
        first_s, steps = (_SILENT_ANSWER_S, 1) if silent else (_ANSWER_S[1], _steps(_ANSWER_S[0]))
        waiter.timers = [
            loop.call_later(first_s, self._check_answered, waiter, steps - 1),
            loop.call_later(wait_s, self._give_up, waiter),
        ]
        self.waiters.append(waiter)
        self._wake.set()
        self.pulse.feel()
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

    @property
    def is_asking(self) -> bool:
        """Whether a draw is in flight: what it asks for may be granted already."""
        return self._asked_at is not None

    def nudge(self) -> None:
        """Something was freed: serve who waits soon, were a draw in flight or not."""
        if self._is_serving:
            return
        self._is_serving = True
        loop = asyncio.get_running_loop()
        loop.call_later(
            _MANY_WAITERS_S if len(self.waiters) > _MANY_WAITERS else 0, self._serve_nudged
        )

    def _serve_nudged(self) -> None:
        self._is_serving = False
        self._serve()

    def look_ahead(self, now: int) -> None:
        """Once a second: draw ahead of need."""
        self.orders.look_ahead(now)
        if not self.orders.is_empty:
            self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        ask_again = loop.time()
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._serve()
            while self.waiters or not self.orders.is_empty:
                unasked = any(not waiter.asked_in for waiter in self.waiters)
                hurried = any(waiter.impatient for waiter in self.waiters)
                if unasked or hurried or not self.orders.is_empty or loop.time() >= ask_again:
                    await self._draw()
                    ask_again = loop.time() + self._pause_s()
                    if not unasked:
                        continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(ask_again):
                        await self._wake.wait()
                self._wake.clear()
                self._serve()

    def _pause_s(self) -> float:
        first, last = _ASK_AGAIN_S
        return min(last, first * float(1 << min(self._in_vain, 8)))

    async def _draw(self) -> None:
        loop = asyncio.get_running_loop()
        asked = next_batch(self.waiters, BATCH)
        self._draws += 1
        for waiter in asked:
            waiter.asked_in = self._draws
        now = self._clock.now_ms() // 1000
        accounts, items = self.orders.next([waiter.claims for waiter in asked], now)
        if not items:
            self._serve()
            return
        self._asked_at = asked_at = loop.time()
        reply = await self._ask(items)
        self._asked_at = None
        if reply is None:
            self._fail_all()
            return
        self._answered_at = loop.time()
        self.pulse.heard(took_s=self._answered_at - asked_at)
        self._take_up(asked, (accounts, items), reply)
        waiting = len(self.waiters)
        self._serve()
        # Only now: who came a moment later may want what was just granted for a hold.
        if reply.wanted is not None:
            self._on_wanted(reply.wanted)
        self._in_vain = self._in_vain + 1 if waiting and len(self.waiters) == waiting else 0
        for waiter in asked:
            if waiter.impatient:
                self._refuse_held(waiter)
        if self.waiters:
            self._flush()

    def _take_up(
        self,
        asked: Sequence[Waiter],
        order: tuple[Sequence[HeldAccount], Sequence[DrawItem]],
        reply: Drawn,
    ) -> None:
        self._clock.told(reply.now_ms)
        answers: dict[Key, tuple[str, Grant]] = {}
        for account, item, grant in zip(*order, reply.grants, strict=True):
            self._holdings.granted(account, grant, upcoming=item.upcoming, basis=item.basis)
            if not item.upcoming:
                answers[account.budget, account.subject] = item.agent, grant
        for waiter in asked:
            waiter.told(answers)

    def _is_silent(self, now: float) -> bool:
        """Whether the authority has let others wait in vain already."""
        since = self._asked_at if self._asked_at is not None else self._connection.down_since
        return since is not None and now - max(since, self.pulse.felt_at) > _SILENT_AFTER_S

    async def _ask(self, items: list[DrawItem]) -> Drawn | None:
        with contextlib.suppress(LedgerUnavailableError):
            reply = await self._connection.until_answered(Draw(items))
            if isinstance(reply, Drawn):
                return reply
            # It may have been granted before, in an answer that was lost.
            self._on_refused([item.slice_id for item in items])
        return None

    def _serve(self) -> None:
        now = self._clock.now_ms() // 1000
        for waiter in list(self.waiters):
            if waiter.future.done():
                continue
            hold = self._holdings.try_hold(waiter.claims, now)
            if hold is not None:
                self._finish(waiter, hold)
            elif (lack := waiter.hopeless) is not None:
                self._refuse(waiter, *lack)
            elif waiter.is_unknown:
                self._refuse(waiter, "unavailable", None)

    def give_up_on(self, budgets: Collection[str]) -> None:
        """These budgets count otherwise from now on, or are gone: nobody waits for them."""
        for waiter in list(self.waiters):
            lost = next((claim for claim in waiter.claims if claim.budget in budgets), None)
            if lost is not None and not waiter.future.done():
                self._refuse(waiter, "unavailable", lost)

    def _check_answered(self, waiter: Waiter, left: int) -> None:
        """A step of its patience is over."""
        if waiter.answered or waiter.future.done():
            return
        now = (loop := asyncio.get_running_loop()).time()
        if now - waiter.began_at < _ALIVE_S:
            left = max(left, int((self.pulse.felt_at + _ANSWER_S[0] - now) / _ANSWER_S[1]))
        if left > 0:
            waiter.timers[0] = loop.call_later(_ANSWER_S[1], self._check_answered, waiter, left - 1)
        else:
            self._refuse(waiter, "unavailable", None)

    def _give_up(self, waiter: Waiter) -> None:
        """Its time is over; an answer of the authority is waited for all the same, if the last
        one is not fresh."""
        if waiter.future.done():
            return
        now = asyncio.get_running_loop().time()
        if waiter.answered and (now - self._answered_at < _FRESH_S or self._is_silent(now)):
            self._refuse_held(waiter)
            return
        waiter.impatient = True
        if waiter.answered:
            waiter.timers.append(
                asyncio.get_running_loop().call_later(_ANSWER_S[0], self._refuse_held, waiter)
            )
            self._wake.set()

    def _refuse_held(self, waiter: Waiter) -> None:
        if not waiter.future.done():
            self._refuse(waiter, "held", None)

    def _fail_all(self) -> None:
        for waiter in list(self.waiters):
            if not waiter.future.done():
                self._refuse(waiter, "unavailable", None)

    def _finish(self, waiter: Waiter, result: Hold | Shortage) -> None:
        waiter.future.set_result(result)
        with contextlib.suppress(ValueError):
            self.waiters.remove(waiter)

    def _refuse(self, waiter: Waiter, reason: ShortageReason, claim: Claim | None) -> None:
        now = self._clock.now_ms() // 1000
        lacking = claim or tightest(waiter.claims, self._holdings, now)
        key = (lacking.budget, lacking.subject)
        release_surplus(waiter.claims, self._holdings, lacking)
        shortage = shortage_of(
            lacking,
            reason,
            account=self._holdings.accounts.get(key),
            grant=waiter.lacks.get(key),
            spec=self.orders.specs.get(lacking.budget),
            now=now,
        )
        self._finish(waiter, shortage)


def _steps(seconds: float) -> int:
    return math.ceil(seconds / _ANSWER_S[1])

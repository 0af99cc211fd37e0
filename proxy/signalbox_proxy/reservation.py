"""Reserve: every budget that applies holds the most that one attempt may cost, or it is not made.

One hold per attempt, all budgets or none. Where the preferred candidate cannot be held, its
output is lowered (only if the client set no limit). If that is not enough, and the budget in the
way says `onExhausted: CheaperLane`, the next candidates are tried, the cheapest first. Where only
open holds stand in the way, it waits. Budgets in DryRun are held apart and never refuse.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from signalbox_ledger.records import HoldPart
from signalbox_proxy.accounts import Account
from signalbox_proxy.model_request import CacheWrite
from signalbox_proxy.quotes import MIN_OUTPUT, Quote, Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.shortages import (
    Short,
    dry_run_refusal,
    may_go_cheaper,
    most_hopeful,
    move_record,
    shortage_record,
    shortage_refusal,
)
from signalbox_proxy.wire_formats import cache_write_on

WAIT_S = 2.0
"""Longest wait for holds of others to end, over all candidates of one attempt."""

MAX_LOWERINGS = 3


@dataclass(slots=True, eq=False)
class Reservation:
    """What one attempt holds; `settle` ends it, once."""

    quote: Quote
    units: tuple[str, ...]
    hold: Hold | None
    cache_write: CacheWrite
    lowered: bool = False
    dry: list[tuple[str, Hold]] = field(default_factory=list)

    def parts(self) -> list[HoldPart]:
        """The slices that it was taken from, nothing spent yet."""
        held = [] if self.hold is None else [self.hold]
        return [part for hold in (*held, *(hold for _, hold in self.dry)) for part in hold.parts]

    def settle(self, ledger: ProxyLedger, cost_nano: int, tokens: int) -> list[HoldPart]:
        """End the hold with what was billed. A request counts once, whatever was billed."""
        spent = {"usd": cost_nano, "tokens": tokens, "requests": self.quote.amount("requests")}
        parts: list[HoldPart] = []
        if self.hold is not None:
            parts.extend(ledger.settle(self.hold, [spent[unit] for unit in self.units]))
        for unit, hold in self.dry:
            parts.extend(ledger.settle(hold, [spent[unit]]))
        return parts

    def release(self, ledger: ProxyLedger) -> None:
        """End the hold of an attempt that is not made: it counts nowhere."""
        for hold in (self.hold, *(hold for _, hold in self.dry)):
            if hold is not None:
                ledger.release(hold)


class Reserver:
    """Takes the holds of one run, attempt by attempt."""

    __slots__ = ("_accounts", "_cold", "_first", "_ledger", "_quoter", "_run")

    def __init__(
        self,
        ledger: ProxyLedger,
        accounts: Sequence[Account],
        quoter: Quoter,
        run: RunDraft,
        cold: Sequence[Quote] = (),
    ) -> None:
        self._cold = cold
        self._ledger = ledger
        self._accounts = accounts
        self._quoter = quoter
        self._first = True
        self._run = run

    async def reserve(self, ranking: Sequence[Quote], failure: Refusal | None) -> Reservation:
        """Hold the first of `ranking`, or a cheaper one where every budget in its way lets it.

        Raises the `Refusal` if none can be held: `failure`, if an attempt before it has failed,
        since that is what kept the client from its answer.
        """
        found = await self._hold(ranking[0], wait_s=0.0, lower_when_held=False)
        if isinstance(found, Short) and self._cold and found.shortage.reason != "unavailable":
            ranking, found = await self._without_cache(ranking, found)
        if isinstance(found, Reservation):
            return await self._admitted(found)
        in_the_way = found
        shorts = [found]
        served = await self._cheaper(ranking[1:], shorts) or await self._after_waiting(shorts)
        if served is None:
            short = most_hopeful(shorts)
            self._run.decision["shortage"] = shortage_record(short.shortage)
            raise failure or shortage_refusal(short, self._quoter, self._ledger.now_ms() // 1000)
        if served.quote.lane is not in_the_way.quote.lane:
            moves = self._run.decision.setdefault("cheaper_lane", [])
            moves.append(move_record(in_the_way, served.quote, len(self._run.attempts) + 1))
        return await self._admitted(served)

    async def _without_cache(
        self, ranking: Sequence[Quote], short: Short
    ) -> tuple[Sequence[Quote], Reservation | Short]:
        """The lane that holds the session's cache cannot be held: as if there were no cache."""
        left = {quote.lane.id for quote in ranking}
        ranking = [quote for quote in self._cold if quote.lane.id in left]
        self._cold = ()
        if ranking[0].lane is short.quote.lane:
            return ranking, short
        self._run.decision["cache_given_up"] = short.quote.lane.id
        return ranking, await self._hold(ranking[0], wait_s=0.0, lower_when_held=False)

    async def _cheaper(self, others: Sequence[Quote], shorts: list[Short]) -> Reservation | None:
        """The cheapest of `others` that can be held at once; `shorts` grow by what cannot."""
        if not may_go_cheaper(shorts[0]):
            return None
        found: Reservation | Short | None
        for quote in sorted(others, key=lambda quote: (quote.worst_nano, quote.lane.id)):
            if shorts[-1].shortage.reason == "unavailable":
                found = self._hold_at_hand(quote)
            elif all(self._may_fit(quote, short.shortage) for short in shorts):
                found = await self._hold(quote, wait_s=0.0, lower_when_held=False)
            else:
                continue
            if isinstance(found, Reservation):
                return found
            if found is not None:
                shorts.append(found)
        return None

    async def _after_waiting(self, shorts: list[Short]) -> Reservation | None:
        """The first that can be held once holds of others end."""
        deadline = asyncio.get_running_loop().time() + WAIT_S
        for index, short in enumerate(shorts):
            if short.shortage.reason != "held":
                continue
            wait = max(0.0, deadline - asyncio.get_running_loop().time())
            found = await self._hold(short.quote, wait_s=wait, lower_when_held=True)
            if isinstance(found, Reservation):
                return found
            shorts[index] = found
        return None

    def _may_fit(self, quote: Quote, shortage: Shortage) -> bool:
        """Whether what was left when another candidate failed could be enough for this one."""
        room = shortage.remaining
        if quote.amount(shortage.unit) <= room:
            return True
        if self._quoter.request.output_limit is not None or shortage.unit == "requests":
            return False
        return self._quoter.largest_output(quote, shortage.unit, room) >= MIN_OUTPUT

    def _hold_at_hand(self, quote: Quote) -> Reservation | None:
        """A hold out of the slices at hand, while nobody answers for more."""
        accounts = self._counting(enforced=True)
        hold = self._ledger.try_hold([self._claim(account, quote) for account in accounts])
        return None if hold is None else self._reservation(quote, accounts, hold)

    async def _admitted(self, reservation: Reservation) -> Reservation:
        """The attempt is admitted: hold what is only watched, and count the request."""
        try:
            await self._watch(reservation)
        except BaseException:
            reservation.release(self._ledger)
            raise
        self._first = False
        return reservation

    async def _watch(self, reservation: Reservation) -> None:
        for account in self._counting(enforced=False):
            if self._ledger.counts_otherwise(account.budget.id, account.budget.unit):
                continue
            claim = self._claim(account, reservation.quote)
            hold = self._ledger.try_hold((claim,)) or await self._ledger.hold((claim,), wait_s=0.0)
            if isinstance(hold, Shortage):
                if hold.reason != "unavailable" and self._first:
                    self._run.dry_run_refusals.append(dry_run_refusal(hold))
            else:
                reservation.dry.append((account.budget.unit, hold))

    async def _hold(
        self, quote: Quote, *, wait_s: float, lower_when_held: bool
    ) -> Reservation | Short:
        accounts = self._counting(enforced=True)
        found = await self._hold_as_is(quote, accounts, wait_s)
        wanted = quote
        for _ in range(MAX_LOWERINGS):
            if isinstance(found, Reservation):
                break
            lower = self._lower(wanted, found.shortage, lower_when_held=lower_when_held)
            if lower is None:
                break
            wanted = lower
            if found.shortage.reason == "held":
                wait_s = 0.0  # waited already
            found = await self._hold_as_is(wanted, accounts, wait_s)
            if isinstance(found, Reservation):
                found.lowered = True
                return found
        return found if isinstance(found, Reservation) else replace(found, quote=quote)

    async def _hold_as_is(
        self, quote: Quote, accounts: Sequence[Account], wait_s: float
    ) -> Reservation | Short:
        if self._ledger.generation != self._run.runtime.generation:
            self._check_units(accounts)
        claims = [self._claim(account, quote) for account in accounts]
        hold: Hold | None = None
        if claims:
            hold = self._ledger.try_hold(claims)
            if hold is None:
                found = await self._ledger.hold(claims, wait_s=wait_s)
                if isinstance(found, Shortage):
                    agent = self._run.agent.agent.id
                    return Short(quote, _account_of(accounts, found), found, agent)
                hold = found
        return self._reservation(quote, accounts, hold)

    def _check_units(self, accounts: Sequence[Account]) -> None:
        """A newer snapshot is in force than the one that this request took: does it claim what
        its budgets count? Raises `Refusal` for one that was made again in another unit."""
        for account in accounts:
            budget = account.budget
            if self._ledger.counts_otherwise(budget.id, budget.unit):
                raise Refusal(
                    "store_unavailable",
                    f"Budget {budget.id} counted {budget.unit} when this request began, and was "
                    "made again to count something else. Try again.",
                    retry_after_s=1,
                )

    def _reservation(
        self, quote: Quote, accounts: Sequence[Account], hold: Hold | None
    ) -> Reservation:
        return Reservation(
            quote=quote,
            units=tuple([account.budget.unit for account in accounts]),
            hold=hold,
            cache_write=cache_write_on(self._quoter.request, quote.lane),
        )

    def _lower(self, quote: Quote, shortage: Shortage, *, lower_when_held: bool) -> Quote | None:
        """The same attempt with as much output as the headroom affords, if that is enough.

        What is left may lie idle with other proxies, or be held: a hold of all that is left is
        asked for first, which calls it back; what is there at once, after waiting in vain.
        """
        if self._quoter.request.output_limit is not None or quote.output_limit is None:
            return None
        if shortage.unit == "requests" or shortage.reason in ("unavailable", "subjects"):
            return None
        if shortage.reason == "held" and not lower_when_held:
            return None
        room = shortage.remaining if shortage.reason == "exhausted" else shortage.affordable
        limit = self._quoter.largest_output(quote, shortage.unit, room)
        if limit < MIN_OUTPUT or limit >= quote.output_limit:
            return None
        return self._quoter.lowered(quote, limit)

    def _counting(self, *, enforced: bool) -> list[Account]:
        """Accounts that this attempt counts in: a run's requests count with its first only."""
        return [
            account
            for account in self._accounts
            if account.enforced is enforced and (self._first or account.budget.unit != "requests")
        ]

    def _claim(self, account: Account, quote: Quote) -> Claim:
        budget = account.budget
        agent = self._run.agent.agent.id if account.subject else ""
        return Claim(budget.id, account.subject, quote.amount(budget.unit), agent)


def _account_of(accounts: Sequence[Account], shortage: Shortage) -> Account:
    for account in accounts:
        if account.budget.id == shortage.budget and account.subject == shortage.subject:
            return account
    raise LookupError(f"the ledger named budget {shortage.budget}, which was not claimed")

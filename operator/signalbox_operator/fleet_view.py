"""The proxies as the operator sees them: who they are, what they run, who is behind.

A loop of its own, once a second. A proxy that hangs holds up nothing: nobody waits longer than
ANSWERS_S for what a look asks, and a later look takes the answer. Meanwhile what the proxy said
last is believed, and releases go to the others.

What a release did not reach is handed over here: one proxy first while none runs the head, then
all. Two rejections stop that while none runs it: one alone may be the fault of the proxy. Who
refused, or could not keep it, is asked again from time to time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from signalbox_operator.control_port import (
    STATUS_S,
    Accepted,
    ControlPort,
    ProxyAddress,
    ProxyStatus,
    PushOutcome,
    Rejected,
    Unreachable,
    ahead_of,
    refusal_of,
)
from signalbox_operator.facts import FleetFacts, ProxyFacts
from signalbox_operator.head import Head
from signalbox_operator.publish import REFUSALS, Rollout

PERIOD_S: Final = 1.0
DISCOVER_S: Final = 3.0
"""How long listing the proxies may take: those that are known need the head meanwhile."""

ANSWERS_S: Final = 1.0
"""How long a look waits for what it asks proxies; what comes later, a later look takes."""

FIRST_ANSWERS_S: Final = 2 * STATUS_S
"""How long whoever begins waits at most: each proxy has STATUS_S, however busy this process is."""

AGAIN_S: Final = 30.0
"""How long a proxy that refused the head, or could not keep it, is left alone."""

Discover = Callable[[], Awaitable[tuple[ProxyAddress, ...]]]

_log = logging.getLogger("signalbox.operator.fleet")


class FleetUnknownError(Exception):
    """Which proxies there are cannot be told, so that nobody knows what they run."""


class FleetView:
    """Knows the proxies and brings those that are behind up to the head.

    `discover` tells which proxies there are; where it fails, those known last stay. `changed` is
    called whenever something is known that was not before.
    """

    def __init__(
        self, control: ControlPort, discover: Discover, changed: Callable[[], None]
    ) -> None:
        self.control = control
        self.addresses: tuple[ProxyAddress, ...] = ()
        self.statuses: dict[str, ProxyStatus] = {}
        self.outcomes: dict[str, PushOutcome] = {}
        self._discover = discover
        self._changed = changed
        self._head: Head | None = None
        self._left_alone: dict[str, float] = {}
        self._heard: dict[str, ProxyStatus] = {}
        self._rolling_out = False
        self._asking: dict[str, asyncio.Task[ProxyStatus | Unreachable]] = {}
        self._late: set[str] = set()

    async def run(self) -> None:
        """Looks once a second until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # noqa: BLE001  told, and tried again
                    _log.exception("looking at the proxies failed")
                await asyncio.sleep(PERIOD_S)
        finally:
            for task in self._asking.values():
                task.cancel()

    async def hear(self) -> None:
        """Asks who is there, and waits until each has answered or failed to: whoever releases
        without knowing what proxies run may give a generation twice. Raises FleetUnknownError where
        nobody can tell who is there.
        """
        try:
            self.addresses = await asyncio.wait_for(self._discover(), DISCOVER_S)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise FleetUnknownError(f"the proxies cannot be listed: {why}") from error
        await self._ask(frozenset(), FIRST_ANSWERS_S)

    async def look(self) -> None:
        """Asks who is there and what each runs, and hands the head to those that are behind."""
        before = self.facts()
        try:
            self.addresses = await asyncio.wait_for(self._discover(), DISCOVER_S)
        except Exception as error:  # noqa: BLE001  a rim that fails in any way changes nothing
            _log.warning("cannot list the proxies: %s", error)
        await self._ask(self._late, ANSWERS_S)
        await self._catch_up()
        if self.facts() != before:
            self._changed()

    def releasing(self) -> tuple[ProxyAddress, ...]:
        """The proxies for a release that begins now: nothing is handed over until it ended.

        Those that answer; one that does not gets the release as soon as it does, and none waits
        for it. All, where none answers.
        """
        self._rolling_out = True
        return tuple(filter(self._answers, self.addresses)) or self.addresses

    def released(self, rollout: Rollout | None) -> None:
        """The release ended, None where it failed; what it did is remembered."""
        self._rolling_out = False
        if rollout is None:
            return
        self.take(rollout.head)
        for outcome in rollout.outcomes:
            self._note(outcome)

    def take(self, head: Head | None) -> None:
        """What is released now. Outcomes speak of one head only."""
        if head is not None and (self._head is None or head.generation != self._head.generation):
            self.outcomes.clear()
            self._left_alone.clear()
        self._head = head

    @property
    def heard(self) -> Collection[ProxyStatus]:
        """What each proxy said last, of all that are there: one that does not answer for a while is
        of the release that it was."""
        return self._heard.values()

    def ahead(self) -> int:
        """As `ahead_of` the head, of what each proxy said last."""
        return ahead_of(self._head, self._heard.values())

    def facts(self) -> FleetFacts:
        """What is known, for status."""
        head = self._head
        proxies = tuple(self._facts_of(each.name) for each in self.addresses)
        return FleetFacts(head.generation if head else 0, head.version if head else "", proxies)

    def _facts_of(self, name: str) -> ProxyFacts:
        status, refusal = self.statuses.get(name), refusal_of(self.outcomes.get(name))
        if status is None:
            return ProxyFacts(name, ready=False, rejection=refusal)
        return ProxyFacts.of(status, refusal)

    def _answers(self, proxy: ProxyAddress) -> bool:
        return proxy.name in self.statuses and proxy.name not in self._late

    async def _ask(self, unawaited: Collection[str], limit_s: float) -> None:
        """Asks every proxy that owes no answer, and waits for all but these; what came by then is
        known."""
        names = {each.name for each in self.addresses}
        for gone in self._asking.keys() - names:
            self._asking.pop(gone).cancel()
        self._asking |= {
            each.name: asyncio.create_task(self.control.status_of(each), name=each.name)
            for each in self.addresses
            if each.name not in self._asking
        }
        awaited = [task for name, task in self._asking.items() if name not in unawaited]
        if awaited:
            await asyncio.wait(awaited, timeout=limit_s)
        statuses = {name: each for name, each in self.statuses.items() if name in names}
        for name in [name for name, task in self._asking.items() if task.done()]:
            statuses.pop(name, None)
            answer = self._asking.pop(name).result()
            if isinstance(answer, ProxyStatus):
                statuses[name] = answer
        self.statuses, self._late = statuses, set(self._asking)
        heard = self._heard | self.statuses
        self._heard = {name: status for name, status in heard.items() if name in names}

    async def _catch_up(self) -> None:
        head = self._head
        if head is None or self._rolling_out:
            return
        behind = [each for each in self.addresses if self._is_behind(each.name, head)]
        fresh = [each for each in behind if each.name not in self._left_alone]
        now = time.monotonic()
        again = [each for each in behind if now - self._left_alone.get(each.name, now) > AGAIN_S]
        if any(_runs(status, head) for status in self.statuses.values()):
            await self._hand_over([*fresh, *again[:1]], head)
            return
        refusals = sum(isinstance(self.outcomes.get(each.name), Rejected) for each in behind)
        await self._hand_over((again if refusals >= REFUSALS else [*fresh, *again])[:1], head)

    async def _hand_over(self, proxies: Sequence[ProxyAddress], head: Head) -> None:
        if not proxies:
            return
        sealed = await asyncio.to_thread(lambda: head.sealed)
        for outcome in await asyncio.gather(
            *(self.control.push_to(each, sealed) for each in proxies)
        ):
            self._note(outcome)

    def _is_behind(self, name: str, head: Head) -> bool:
        status = self.statuses.get(name)
        if status is None or name in self._late:
            return False
        return (status.generation or 0) < head.generation

    def _note(self, outcome: PushOutcome) -> None:
        self.outcomes[outcome.proxy] = outcome
        self._left_alone.pop(outcome.proxy, None)
        refusal = refusal_of(outcome)
        if refusal is not None:
            self._left_alone[outcome.proxy] = time.monotonic()
            _log.warning(
                "%s refuses the snapshot: %s: %s", outcome.proxy, refusal.path, refusal.reason
            )
        elif not isinstance(outcome, Accepted):
            _log.info("%s was not reached: %s", outcome.proxy, outcome.reason)


def _runs(status: ProxyStatus, head: Head) -> bool:
    return (status.generation or 0) >= head.generation

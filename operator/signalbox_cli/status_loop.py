"""Once a second: what proxies run and what accounts have left, as status on every object."""

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_api import Resource, ResourceKey
from signalbox_cli.board import Board
from signalbox_cli.controller import Controller
from signalbox_cli.fleet import Fleet
from signalbox_cli.settings import UpSettings
from signalbox_cli.up_server import UpServer
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.protocol import BudgetStatus
from signalbox_ledger.refusing import Follower
from signalbox_ledger.status import fetched
from signalbox_ledger.status_document import document
from signalbox_operator.account_facts import facts_of
from signalbox_operator.facts import AccountFacts, FleetFacts, ProxyFacts
from signalbox_operator.forecast import Trend
from signalbox_operator.status import Report, with_status

PERIOD_S: Final = 1.0
WORST: Final = 10
"""Accounts that status names of each budget."""

SUBJECTS: Final = 1000
"""Accounts per user, session or agent that are told one by one, those with the least left first."""


class StatusLoop:
    """Keeps the board fresh and serves it."""

    def __init__(self, settings: UpSettings, fleet: Fleet, controller: Controller) -> None:
        self._settings = settings
        self._fleet = fleet
        self._controller = controller
        # Versions go on growing over restarts, as an API server's do.
        self._board = Board(time.time_ns() // 1_000_000)
        self._server = UpServer(self._board, self.status)
        self._followed = Follower()
        self._trend = Trend()
        self._shown: dict[ResourceKey, Resource] = {}
        self._facts = FleetFacts()
        self._accounts: tuple[AccountFacts, ...] | None = None
        self._budgets: Sequence[BudgetStatus] = ()
        self._started = False

    async def start(self) -> None:
        """Shows the first status and listens."""
        await self.refresh()
        await self._server.start(self._settings.state.up_socket)
        self._started = True

    async def stop(self) -> None:
        """Listens no longer."""
        if self._started:
            await self._server.stop()
            self._settings.state.up_socket.unlink(missing_ok=True)

    async def refresh(self) -> None:
        """Asks proxies and authority, and shows what they say."""
        applied = self._controller.applied
        if applied is None or applied.rollout is None:
            return
        self._facts = await self._fleet_facts()
        with contextlib.suppress(LedgerUnavailableError):
            self._accounts = await self._account_facts()
        compilation = applied.compiled.compilation
        made = Report(compilation, self._facts, self._accounts, datetime.now(tz=UTC))
        shown = with_status(applied.reading.objects, made, self._shown)
        self._shown = {item.key: item for item in shown}
        self._board.replace([_as_stored(item) for item in shown])

    def status(self) -> dict[str, Any]:
        """What runs, for other commands."""
        return {
            "generation": self._facts.generation,
            "version": self._facts.version,
            "processes": self._fleet.processes(),
            "proxies": [
                {"name": each.name, "ready": each.ready, "generation": each.generation}
                for each in self._facts.proxies
            ],
            "accounts": [left for budget in self._budgets for left in _left(budget)],
        }

    async def _fleet_facts(self) -> FleetFacts:
        applied = self._controller.applied
        rollout = applied.rollout if applied is not None else None
        if rollout is None:
            return self._facts
        rejected = {each.proxy: each for each in rollout.refusals}
        statuses = await self._controller.statuses()
        await self._controller.catch_up(statuses)
        await self._controller.keep_pin()
        proxies = tuple(
            ProxyFacts(address.name, ready=False)
            if status is None
            else ProxyFacts.of(status, rejected.get(address.name))
            for address, status in zip(self._fleet.addresses, statuses, strict=True)
        )
        return FleetFacts(rollout.head.generation, rollout.head.version, proxies)

    async def _account_facts(self) -> tuple[AccountFacts, ...]:
        async with connected(self._settings.state.authority_socket) as ask:
            report = await fetched(ask, top=SUBJECTS)
            await self._followed.follow(ask)
        self._budgets = report.budgets
        # Whoever may read this machine's status may read its ledger: names are told in clear.
        told = document(report, self._followed.refusing, top=WORST, name_of=lambda _, name: name)
        return self._trend.noted(facts_of(told), report.now_ms // 1000)


def _left(budget: BudgetStatus) -> list[dict[str, Any]]:
    """What the accounts of a budget have left; subject `*` stands for those not used yet."""
    shared = budget.remaining if not budget.subjects else budget.figures.limit
    left = [("", shared), ("*", budget.figures.limit)]
    left += [(each.subject, each.figures.remaining) for each in budget.top]
    return [
        {
            "budget": budget.budget,
            "subject": subject,
            "remaining": remaining,
            "window_end": budget.window_end,
        }
        for subject, remaining in left
    ]


def _as_stored(item: Resource) -> dict[str, Any]:
    """The object as an API server returns it."""
    stored = item.manifest()
    status = getattr(item, "status", None)
    if status is not None:
        stored["status"] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return stored

"""Once a second: what proxies run and what accounts have left, as status on every object."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_api import Resource, ResourceKey
from signalbox_cli.board import Board
from signalbox_cli.controller import Controller
from signalbox_cli.fleet import Fleet
from signalbox_cli.refusals_seen import RefusalsSeen
from signalbox_cli.settings import UpSettings
from signalbox_cli.up_server import UpServer
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.protocol import BudgetStatus
from signalbox_ledger.status import fetch
from signalbox_operator.facts import AccountFacts, FleetFacts, ProxyFacts
from signalbox_operator.status import Report, with_status

PERIOD_S: Final = 1.0
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
        self._refusals = RefusalsSeen(settings.ledger)
        # A database may let its readers wait: what keeps the processes running must not wait too.
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="refusals")
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
        await self._read_aside(self._refusals.close)
        self._reading.shutdown(wait=False)

    async def refresh(self) -> None:
        """Asks proxies and authority, and shows what they say."""
        applied = self._controller.applied
        if applied is None or applied.rollout is None:
            return
        self._facts = await self._fleet_facts()
        with contextlib.suppress(LedgerUnavailableError):
            report = await fetch(self._settings.state.authority_socket, top=SUBJECTS)
            await self._read_aside(self._refusals.read)
            self._budgets = report.budgets
            self._accounts = tuple(self._account_facts(budget) for budget in report.budgets)
        compilation = applied.compiled.compilation
        made = Report(compilation, self._facts, self._accounts, datetime.now(tz=UTC))
        shown = with_status(applied.reading.objects, made, self._shown)
        self._shown = {item.key: item for item in shown}
        self._board.replace([_as_stored(item) for item in shown])

    async def _read_aside(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._reading, work)

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
        rejected = {each.proxy: each for each in rollout.rejections}
        statuses = await self._controller.statuses()
        await self._controller.catch_up(statuses)
        proxies = tuple(
            ProxyFacts(address.name, ready=False)
            if status is None
            else ProxyFacts.of(status, rejected.get(address.name))
            for address, status in zip(self._fleet.addresses, statuses, strict=True)
        )
        return FleetFacts(rollout.head.generation, rollout.head.version, proxies)

    def _account_facts(self, budget: BudgetStatus) -> AccountFacts:
        figures = budget.figures
        return AccountFacts(
            budget=budget.budget,
            limit=figures.limit,
            settled=figures.settled,
            held=figures.held or 0,
            overrun=figures.overrun,
            remaining=budget.remaining,
            window_start=budget.window_start,
            window_end=budget.window_end,
            subjects=budget.subjects,
            exhausted_subjects=budget.exhausted_subjects,
            refused=self._refusals.refused_since(budget.budget, budget.window_start),
        )


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

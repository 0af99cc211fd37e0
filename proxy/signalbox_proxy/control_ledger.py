"""The ledger as the control port tells of it: accounts, holders, and giving a holder up.

The control plane has no way to the database: it asks a proxy, which asks its authority. Whoever
asks often names what he has (`If-None-Match`), and is told nothing where that still holds.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.desk_protocol import HolderList, HolderStatus, ListHolders, PostLossFor, Who
from signalbox_ledger.protocol import BudgetStatus, Lost
from signalbox_ledger.refusing import Follower
from signalbox_ledger.status import fetched
from signalbox_ledger.status_document import document
from signalbox_proxy.control_replies import control_json

ACCOUNTS_PATH = "/control/v1/accounts"
HOLDERS_PATH = "/control/v1/holders"
LOST_PATH = "/control/v1/lost"
WORST = 10
"""Accounts that are told of each budget with one for each user, session or agent."""

MAX_ORDER = 4096
ANSWER_S = 5.0
FRESH_S = 0.2
"""What was read from the ledger so long ago is told again."""

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class LossOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That `holder` is gone with its journal, and who says so."""

    holder: str
    by: Who


class LedgerDesk:
    """Handlers beside those of snapshots, behind the same token. `secret` gives what pseudonyms of
    people are made with."""

    def __init__(self, authority: Path, secret: Callable[[], str]) -> None:
        self._authority = authority
        self._secret = secret
        self._followed = Follower()
        self._one_at_a_time = asyncio.Lock()
        self._told: tuple[float, str, bytes] | None = None

    def add_to(self, application: web.Application) -> None:
        """Their routes."""
        application.router.add_get(ACCOUNTS_PATH, _asking(self.accounts))
        application.router.add_get(HOLDERS_PATH, _asking(self.holders))
        application.router.add_post(LOST_PATH, _asking(self.lost))

    async def accounts(self, request: web.Request) -> web.Response:
        """How every budget stands, as `signalbox_ledger.status_document` says it; 304 where that
        is what the caller has already."""
        async with self._one_at_a_time:
            tag, body = await self._accounts()
        headers = {"ETag": f'"{tag}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def holders(self, request: web.Request) -> web.Response:
        """Who holds slices, or may."""
        listed = await self._holders()
        told = [_holder(each) for each in listed.holders]
        return control_json({"now_ms": listed.now_ms, "holders": told})

    async def lost(self, request: web.Request) -> web.Response:
        """Post what a holder holds in full, and fence it. One that is live is not given up."""
        try:
            order = msgspec.json.decode(await request.content.read(MAX_ORDER), type=LossOrder)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return control_json({"error": 'send {"holder": …, "by": …}'}, 400)
        found = {each.holder: each for each in (await self._holders()).holders}
        holder = found.get(order.holder)
        if holder is None:
            return control_json({"error": "there is no such holder"}, 404)
        if holder.state == "live":
            return control_json({"error": "it was heard of within half a minute"}, 409)
        return control_json(await self._post(holder, order.by))

    async def _accounts(self) -> tuple[str, bytes]:
        now = asyncio.get_running_loop().time()
        if self._told is not None and now - self._told[0] < FRESH_S:
            return self._told[1:]
        async with connected(self._authority, answer_s=ANSWER_S) as ask:
            report = await fetched(ask, top=WORST)
            await self._followed.follow(ask)
        budgets = document(report, self._followed.refusing, top=WORST, name_of=self._name_of)
        tag = hashlib.sha256(msgspec.json.encode(budgets)).hexdigest()[:32]
        body = msgspec.json.encode({"now_ms": report.now_ms, "budgets": budgets})
        self._told = now, tag, body
        return tag, body

    def _name_of(self, budget: BudgetStatus, subject: str) -> str:
        """An agent's own name; a pseudonym of a user or session, which nobody can make who does
        not know the fleet's token, however few names there are to try."""
        if budget.per == "agent" or not subject:
            return subject
        text = f"signalbox-subject/v1 {budget.budget}\n{subject}".encode()
        digest = hmac.new(self._secret().encode(), text, hashlib.sha256).hexdigest()
        return f"{budget.per}-{digest[:12]}"

    async def _holders(self) -> HolderList:
        async with connected(self._authority, answer_s=ANSWER_S) as ask:
            reply = await ask(ListHolders())
        if not isinstance(reply, HolderList):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return reply

    async def _post(self, holder: HolderStatus, by: str) -> dict[str, Any]:
        if holder.state == "fenced" and not holder.slices:
            return {"holder": holder.holder, "slices": 0, "amounts": {}}
        async with connected(self._authority, answer_s=ANSWER_S) as ask:
            reply = await ask(PostLossFor(holder.holder, by))
        if not isinstance(reply, Lost):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return {"holder": holder.holder, "slices": reply.slices, "amounts": reply.amounts}


def _holder(holder: HolderStatus) -> dict[str, Any]:
    return {
        "holder": holder.holder,
        "name": holder.name,
        "state": holder.state,
        "opened_at": holder.opened_at,
        "seen_at": holder.seen_at,
        "slices": holder.slices,
        "held": holder.held,
    }


def _asking(handler: _Handler) -> _Handler:
    async def guarded(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except LedgerUnavailableError:
            return control_json({"error": "the ledger cannot be asked at the moment"}, 503)

    return guarded

"""The ledger as the control port tells of it: accounts, holders, and giving a holder up.

The control plane has no way to the database: it asks a proxy, which asks its authority.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.desk_protocol import HolderList, HolderStatus, ListHolders, PostLossFor, Who
from signalbox_ledger.protocol import Lost
from signalbox_ledger.status import fetch
from signalbox_proxy.control_replies import control_json

ACCOUNTS_PATH = "/control/v1/accounts"
HOLDERS_PATH = "/control/v1/holders"
LOST_PATH = "/control/v1/lost"
MAX_TOP = 10
MAX_ORDER = 4096

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class LossOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That `holder` is gone with its journal, and who says so."""

    holder: str
    by: Who


class LedgerDesk:
    """Handlers beside those of snapshots, behind the same token."""

    def __init__(self, authority: Path) -> None:
        self._authority = authority

    def add_to(self, application: web.Application) -> None:
        """Their routes."""
        application.router.add_get(ACCOUNTS_PATH, _asking(self.accounts))
        application.router.add_get(HOLDERS_PATH, _asking(self.holders))
        application.router.add_post(LOST_PATH, _asking(self.lost))

    async def accounts(self, request: web.Request) -> web.Response:
        """How every budget stands; `top` (0 to 10, 5 unless told) accounts of each by name."""
        told = request.query.get("top", "5")
        if not told.isdecimal() or len(told) > 2 or int(told) > MAX_TOP:
            return control_json({"error": f"top is a number up to {MAX_TOP}"}, 400)
        return control_json(await fetch(self._authority, top=int(told)))

    async def holders(self, request: web.Request) -> web.Response:
        """Who holds slices, or may."""
        return control_json(await self._holders())

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

    async def _holders(self) -> HolderList:
        async with connected(self._authority) as ask:
            reply = await ask(ListHolders())
        if not isinstance(reply, HolderList):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return reply

    async def _post(self, holder: HolderStatus, by: str) -> dict[str, Any]:
        if holder.state == "fenced" and not holder.slices:
            return {"holder": holder.holder, "slices": 0, "amounts": {}}
        async with connected(self._authority) as ask:
            reply = await ask(PostLossFor(holder.holder, by))
        if not isinstance(reply, Lost):
            raise LedgerUnavailableError(f"the authority refuses: {reply}")
        return {"holder": holder.holder, "slices": reply.slices, "amounts": reply.amounts}


def _asking(handler: _Handler) -> _Handler:
    async def guarded(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except LedgerUnavailableError:
            return control_json({"error": "the ledger cannot be asked at the moment"}, 503)

    return guarded

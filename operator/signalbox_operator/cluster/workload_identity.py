"""What the cluster says of ServiceAccounts: who signs their tokens, and which there are.

Read from time to time, and never while a request waits. Of ServiceAccounts only the metadata is
asked for, and kept of that is the uid.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from signalbox_operator.cluster.api import ApiError, ClusterApi, core
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.issuer_keys import IssuerKeys, learned

ACCOUNTS_S: Final = 15.0
"""How often ServiceAccounts are listed: so long a deleted one may still stand for its agent."""

KEYS_S: Final = 60.0
AGAIN_S: Final = 1.0
REFUSALS: Final = 5
_REFUSED: Final = (401, 403, 404)
_CONFIGURATION: Final = "/.well-known/openid-configuration"
_KEYS: Final = "/openid/v1/jwks"
_KEY_SET: Final = "application/jwk-set+json"

_log = logging.getLogger("signalbox.operator")


class WorkloadIdentities:
    """`known` is what was read last, None before anything was; `changed` is called when it moved.

    Where the operator may not read them at all there are none: the chart can leave that out.
    """

    def __init__(self, api: ClusterApi, changed: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._keys = IssuerKeys()
        self._keys_at = 0.0
        self._problem = ""
        self._refused = 0
        self.known: WorkloadIdentity | None = None

    async def run(self) -> None:
        """Reads until cancelled. What fails is told, and what was known stays."""
        while True:
            try:
                await self.look()
                self._problem = ""
            except (ApiError, ValueError) as error:
                self._give_up(error)
                if str(error) != self._problem:
                    _log.warning("ServiceAccounts or their issuer cannot be read: %s", error)
                self._problem = str(error)
            await asyncio.sleep(ACCOUNTS_S if self.known is not None else AGAIN_S)

    def _give_up(self, error: Exception) -> None:
        """An API server that just started may refuse for a moment what it allows then."""
        if self.known is not None or not isinstance(error, ApiError):
            return
        self._refused = self._refused + 1 if error.status in _REFUSED else 0
        if self._refused >= REFUSALS:
            self.known = WorkloadIdentity()
            self._changed()

    async def look(self) -> None:
        """Reads once. Raises ApiError, and ValueError for keys of no use."""
        now = time.monotonic()
        if not self._keys.keys or now - self._keys_at >= KEYS_S:
            configuration = await self._api.get(_CONFIGURATION)
            keys = await self._api.get(_KEYS, accept=_KEY_SET)
            self._keys = learned(self._keys, configuration, keys, now)
            self._keys_at = now
        listed = await self._api.metadata(core("serviceaccounts"))
        accounts = {f"{item['namespace']}/{item['name']}": item["uid"] for item in listed.items}
        found = WorkloadIdentity(self._keys.wire(), accounts)
        if found != self.known:
            self.known = found
            self._changed()

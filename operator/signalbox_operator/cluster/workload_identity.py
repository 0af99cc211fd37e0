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
GIVE_UP_S: Final = 300.0
"""How long the right to read them may be missing before what was known is forgotten."""

_REFUSED: Final = (401, 403, 404)
_CONFIGURATION: Final = "/.well-known/openid-configuration"
_KEYS: Final = "/openid/v1/jwks"
_KEY_SET: Final = "application/jwk-set+json"

_log = logging.getLogger("signalbox.operator")


class WorkloadIdentities:
    """`known` is what was read last, None before anything was; `changed` is called when it moved.

    Where the operator may not read them at all, or no longer, there are none: the chart can leave
    that out. Switched off (`enabled`) there are none from the start, and nothing is asked.
    """

    def __init__(
        self, api: ClusterApi, changed: Callable[[], None], *, enabled: bool = True
    ) -> None:
        self._api = api
        self._changed = changed
        self._enabled = enabled
        self._keys = IssuerKeys()
        self._keys_at = 0.0
        self._accounts: dict[str, str] | None = None
        self._problem = ""
        self._refused = 0
        self._refused_since: float | None = None
        self.known: WorkloadIdentity | None = None if enabled else WorkloadIdentity()

    async def run(self) -> None:
        """Reads until cancelled. What fails is told, and what was known stays."""
        while True:
            try:
                await self.look()
                self._problem = ""
            except (ApiError, ValueError) as error:
                if str(error) != self._problem:
                    _log.warning("ServiceAccounts or their issuer cannot be read: %s", error)
                self._problem = str(error)
            await asyncio.sleep(ACCOUNTS_S if self.known is not None else AGAIN_S)

    async def look(self) -> None:
        """Reads once: accounts also where the keys cannot be read, so that a deleted one ends.

        Raises ApiError, and ValueError for keys of no use.
        """
        if not self._enabled:
            return
        now = time.monotonic()
        failed: ApiError | ValueError | None = None
        for read in (self._read_accounts, self._read_keys):
            try:
                await read(now)
            except (ApiError, ValueError) as error:
                failed = error if failed is None or _is_refusal(error) else failed
        if failed is None or not self._is_given_up(failed, now):
            self._tell()
        if failed is not None:
            raise failed
        self._refused, self._refused_since = 0, None

    async def _read_accounts(self, _: float) -> None:
        listed = await self._api.metadata(core("serviceaccounts"))
        self._accounts = {
            f"{item['namespace']}/{item['name']}": item["uid"] for item in listed.items
        }

    async def _read_keys(self, now: float) -> None:
        if not self._keys.keys or now - self._keys_at >= KEYS_S:
            configuration = await self._api.get(_CONFIGURATION)
            keys = await self._api.get(_KEYS, accept=_KEY_SET)
            self._keys = learned(self._keys, configuration, keys, now)
            self._keys_at = now

    def _tell(self) -> None:
        """Before both were read once nothing is known, and the fleet keeps what it has."""
        if self._accounts is None or not self._keys.keys:
            return
        self._take(WorkloadIdentity(self._keys.wire(), self._accounts))

    def _is_given_up(self, error: Exception, now: float) -> bool:
        """Refused for so long that it is meant. An API server that just started may refuse for a
        moment what it allows then; one that does not answer says nothing about it."""
        if not _is_refusal(error):
            self._refused, self._refused_since = 0, None
            return False
        self._refused += 1
        since = self._refused_since = now if self._refused == 1 else self._refused_since
        known = self.known is not None
        lasted = since is not None and now - since >= GIVE_UP_S
        if not (lasted if known else self._refused >= REFUSALS):
            return False
        self._keys, self._accounts = IssuerKeys(), None
        self._take(WorkloadIdentity())
        return True

    def _take(self, found: WorkloadIdentity) -> None:
        if found != self.known:
            self.known = found
            self._changed()


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.status in _REFUSED

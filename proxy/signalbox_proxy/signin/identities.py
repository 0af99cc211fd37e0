"""All identities that the lanes of a process sign in as, renewed ahead of the end of each.

Lanes that name the same identity share one signer. `renew_due` runs in the background, from time
to time; what requests call, `headers`, touches no network and no file.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from signalbox_proxy.logs import FIELDS
from signalbox_proxy.signin.contract import (
    Signer,
    SignerFactory,
    SignInError,
    Surroundings,
    Unsigned,
)
from signalbox_proxy.signin.signers import SIGNERS
from signalbox_snapshot.snapshot import Identity, Lane

RETRY_S = 5
"""After a sign-in that failed, the next one is tried so much later."""

_Key = tuple[str, str, Identity | None]

_log = logging.getLogger("signalbox.signin")


class Identities:
    """Signers by identity."""

    def __init__(
        self, surroundings: Surroundings, factories: Mapping[str, SignerFactory] = SIGNERS
    ) -> None:
        self._surroundings = surroundings
        self._factories = factories
        self._signers: dict[_Key, Signer] = {}
        self._retry_at: dict[_Key, int] = {}
        self._said: dict[_Key, str] = {}

    def __repr__(self) -> str:
        return f"Identities({len(self._signers)} identities)"

    def signs(self, lane: Lane) -> bool:
        """Whether the calls of a lane are signed here."""
        return lane.auth in self._factories

    def headers(self, lane: Lane, call: Unsigned, now_s: int) -> dict[str, str]:
        """What proves who sends a call. Raises `SignInError` while the lane is not signed in."""
        signer = self._signers.get(_key(lane))
        if signer is None:
            raise SignInError(f"{lane.auth}: not signed in yet")
        return signer.headers(call, now_s)

    async def renew_due(self, lanes: Iterable[Lane], now_s: int) -> None:
        """Sign in with every identity of `lanes` whose time has come, side by side.

        Identities that no lane names any more stay: a request keeps the snapshot that it began
        with. A failure is logged once, and again when its reason changes.
        """
        for lane in lanes:
            factory = self._factories.get(lane.auth)
            if factory is not None and _key(lane) not in self._signers:
                self._signers[_key(lane)] = factory(lane, self._surroundings)
        due = [
            key
            for key, signer in self._signers.items()
            if now_s >= max(signer.renew_at, self._retry_at.get(key, 0))
        ]
        if due:
            await asyncio.gather(*(self._renew(key, now_s) for key in due))

    async def _renew(self, key: _Key, now_s: int) -> None:
        try:
            await self._signers[key].renew(now_s)
        except SignInError as error:
            self._retry_at[key] = now_s + RETRY_S
            self._say(key, str(error))
        except Exception as error:  # noqa: BLE001  one cloud's surprise must not stop the others
            self._retry_at[key] = now_s + RETRY_S
            self._say(key, f"{key[0]}: signing in failed ({type(error).__name__})")
        else:
            self._retry_at.pop(key, None)
            self._said.pop(key, None)

    def _say(self, key: _Key, reason: str) -> None:
        if self._said.get(key) != reason:
            self._said[key] = reason
            _log.warning("cannot sign in", extra={FIELDS: {"auth": key[0], "reason": reason}})


def _key(lane: Lane) -> _Key:
    return (lane.auth, lane.auth_key, lane.identity)

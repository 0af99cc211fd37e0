"""The files that the control port goes by, looked at while the process runs.

A fleet in a cluster starts before the operator has filled its Secrets: a proxy then listens, is not
ready, trusts nobody, and goes on as soon as the files say whom.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from signalbox_proxy.control_tls import ControlCertificate, PeerAuthorities
from signalbox_proxy.logs import FIELDS
from signalbox_proxy.trust import Trust, TrustFiles

LOOK_EVERY_S = 0.5

_log = logging.getLogger("signalbox.control")


class ControlFiles:
    """Trust, certificate and authorities, each as its files told last."""

    def __init__(
        self,
        trust: TrustFiles,
        certificate: ControlCertificate | None = None,
        authorities: PeerAuthorities | None = None,
    ) -> None:
        self._trust = trust
        self.certificate = certificate
        self.authorities = authorities
        self._said: dict[str, str] = {}

    @property
    def trust(self) -> Trust:
        """Whose snapshots are accepted now."""
        return self._trust.trust

    def told(self) -> dict[str, Any]:
        """What the status tells of them: names and digests, never what they hold."""
        return self.trust.told() | {
            "authorities": list(self.authorities.digests) if self.authorities else [],
            "certificate": self.certificate.digest if self.certificate else "",
        }

    def refresh(self) -> bool:
        """Read what changed; whether anything did. What is malformed is logged, once."""
        changed = False
        for part in (self._trust, self.certificate, self.authorities):
            if part is None:
                continue
            name, said = type(part).__name__, ""
            try:
                changed |= part.refresh()
            except ValueError as error:
                said = str(error)
            if said and said != self._said.get(name):
                _log.error("a file of the control port cannot be used: %s", said)
            self._said[name] = said
        if changed:
            _log.info("files of the control port changed", extra={FIELDS: {"trusts": self.told()}})
        return changed

    async def keep_fresh(self, on_change: Callable[[Trust], Awaitable[None]]) -> None:
        """Look at them from time to time and tell of a change, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.refresh():
                await on_change(self.trust)

"""Which snapshot is in force: accept, reject, keep on disk, swap, pull.

Everything that can fail happens before the swap, so that the old snapshot serves on. The swap
itself is one assignment between two requests.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signalbox_ledger.accounts import check_spec
from signalbox_proxy import tokenizer
from signalbox_proxy.last_good import LastGood
from signalbox_proxy.logs import FIELDS
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.services import Services
from signalbox_snapshot import envelope as envelopes
from signalbox_snapshot.envelope import Envelope, EnvelopeError
from signalbox_snapshot.snapshot import Snapshot

PULL_TIMEOUT_S = 10.0
PULL_EVERY_S = 1.0
LOOK_EVERY_S = 0.1
CREDENTIALS_EVERY_S = 2.0
SIGN_IN_EVERY_S = 1.0
SIGN_IN_WAIT_S = 3.0
"""Longest that a snapshot waits for identities that it brings, before it is in force."""

_log = logging.getLogger("signalbox.control")


class StaleError(Exception):
    """An older generation than the one in force, or another content under the same number."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose snapshots are accepted: the fleet's name, its signing keys, the token of its port."""

    fleet: str
    keys: Mapping[str, Ed25519PublicKey]
    token: str

    def __repr__(self) -> str:
        return f"Trust(fleet={self.fleet!r}, keys={sorted(self.keys)})"


class Configuration:
    """Holds the envelope in force and puts others in its place."""

    def __init__(self, services: Services, trust: Trust, last_good: LastGood) -> None:
        self.trust = trust
        self._services = services
        self._last_good = last_good
        self._swapping = asyncio.Lock()
        self._envelope: Envelope | None = None
        self._sealed = b""
        self._since = 0
        self._last_rejection: dict[str, Any] | None = None

    @property
    def sealed(self) -> bytes:
        """The envelope in force as bytes; empty with none."""
        return self._sealed

    async def apply(self, sealed: bytes, *, store: bool = True) -> Envelope:
        """Put a sealed snapshot in force.

        Raises `EnvelopeError` for one that is not accepted, `StaleError` for an older one,
        `OSError` when it cannot be kept on disk. The old one then serves on.
        """
        async with self._swapping:
            try:
                return await self._apply(sealed, store=store)
            except EnvelopeError as error:
                self._reject(error.reason, error.path)
                raise
            except StaleError as error:
                self._reject(error.reason, "$.generation")
                raise
            except OSError as error:
                self._reject(f"cannot be kept on disk: {error.strerror}", "$")
                raise

    async def start(self, peers: tuple[str, ...]) -> None:
        """Take the last good snapshot from disk; with none, the highest that a peer runs."""
        stored = await asyncio.to_thread(self._last_good.read)
        if stored is not None:
            try:
                await self.apply(stored, store=False)
            except (EnvelopeError, StaleError):
                _log.exception("the snapshot on disk is not accepted")
        if self._envelope is None:
            await self._pull(peers)

    async def keep_pulling(self, peers: tuple[str, ...]) -> None:
        """Ask peers while there is no snapshot, or one that is too old to be served by."""
        while peers:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._envelope is None or self._services.is_outdated:
                await self._pull(peers)
                await asyncio.sleep(PULL_EVERY_S)

    def status(self) -> dict[str, Any]:
        """What the control port tells of this proxy."""
        current = self._envelope
        return {
            "name": self._services.name,
            "holder": self._services.ledger.holder_id,
            "ready": self._services.ready,
            "generation": current.generation if current else 0,
            "version": current.version if current else "",
            "since": self._since,
            "last_rejection": self._last_rejection,
            "quarantined": self._services.quarantined_lanes(),
        }

    async def keep_credentials_fresh(self) -> None:
        """Look at the credential files from time to time, until cancelled."""
        known: list[str] = []
        while True:
            await asyncio.sleep(CREDENTIALS_EVERY_S)
            runtime = self._services.runtime
            if runtime is None:
                continue
            missing = self._services.credentials.refresh(_credential_names(runtime.snapshot))
            if missing != known:
                _log.warning("credentials are missing", extra={FIELDS: {"names": missing}})
                known = missing

    async def keep_signed_in(self) -> None:
        """Renew short-lived credentials ahead of their end, until cancelled."""
        while True:
            await asyncio.sleep(SIGN_IN_EVERY_S)
            runtime = self._services.runtime
            if runtime is not None:
                await self._sign_in(runtime.snapshot)

    async def _sign_in(self, snapshot: Snapshot) -> None:
        identities = self._services.identities
        if identities is not None:
            lanes = [lane for model in snapshot.models for lane in model.lanes if lane.identity]
            await identities.renew_due(lanes, self._services.ledger.now_ms() // 1000)

    async def _apply(self, sealed: bytes, *, store: bool) -> Envelope:
        envelope, snapshot = await asyncio.to_thread(
            envelopes.open_sealed, sealed, self.trust.keys, self.trust.fleet
        )
        current = self._envelope
        if current is not None:
            if envelope.generation < current.generation:
                raise StaleError(
                    f"generation {envelope.generation} is older than {current.generation}, "
                    "which is in force"
                )
            if envelope.generation == current.generation:
                if envelope.version != current.version:
                    raise StaleError(f"generation {envelope.generation} has other content here")
                return current
        services = self._services
        runtime = await asyncio.to_thread(
            _build, snapshot, envelope, services.ledger.now_ms() // 1000
        )
        try:
            await services.ledger.configure(runtime.generation, runtime.budget_specs)
        except ValueError as error:
            raise EnvelopeError(str(error), "$.snapshot.budgets") from None
        if store:
            await asyncio.to_thread(self._last_good.write, sealed)
        missing = services.credentials.refresh(_credential_names(snapshot))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._sign_in(snapshot), SIGN_IN_WAIT_S)
        services.take_up(runtime)
        self._envelope = envelope
        self._sealed = sealed
        self._since = int(time.time())
        services.metrics.generation.set(envelope.generation)
        services.metrics.loaded_at.set(self._since)
        gc.unfreeze()  # the snapshot before this one may go
        gc.collect()
        gc.freeze()  # what lives as long as the snapshot is not looked at again
        _log.info(
            "snapshot in force",
            extra={
                FIELDS: {
                    "generation": envelope.generation,
                    "version": envelope.version,
                    "missing_credentials": missing,
                }
            },
        )
        # Only now: a snapshot that one proxy cannot take up must not stop those that run.
        await services.ledger.require_generation(envelope.min_generation)
        return envelope

    def _reject(self, reason: str, path: str) -> None:
        self._services.metrics.snapshot_rejected()
        self._last_rejection = {"reason": reason, "path": path, "at": int(time.time())}
        _log.warning("snapshot rejected", extra={FIELDS: {"reason": reason, "path": path}})

    async def _pull(self, peers: tuple[str, ...]) -> None:
        """Ask all peers and take the highest generation that is accepted."""
        if not peers:
            return
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PULL_TIMEOUT_S), trust_env=False
        ) as session:
            found = await asyncio.gather(*(self._ask(session, peer) for peer in peers))
        for sealed in found:
            if sealed is None:
                continue
            try:
                await self.apply(sealed)
            except (EnvelopeError, StaleError):
                continue

    async def _ask(self, session: aiohttp.ClientSession, peer: str) -> bytes | None:
        try:
            async with session.get(
                f"{peer.rstrip('/')}/control/v1/snapshot",
                headers={"Authorization": f"Bearer {self.trust.token}"},
                allow_redirects=False,
            ) as answer:
                if answer.status != 200:
                    return None
                return await answer.content.read(envelopes.MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _build(snapshot: Snapshot, envelope: Envelope, now_s: int) -> Runtime:
    tokenizer.load(model.tokenizer for model in snapshot.models)
    runtime = Runtime.build(snapshot, version=envelope.version, generation=envelope.generation)
    for position, spec in enumerate(runtime.budget_specs):
        try:
            check_spec(spec, now_s)
        except ValueError as error:
            raise EnvelopeError(str(error), f"$.snapshot.budgets[{position}]") from None
    return runtime


def _credential_names(snapshot: Snapshot) -> set[str]:
    return {lane.auth_key for model in snapshot.models for lane in model.lanes if lane.auth_key}

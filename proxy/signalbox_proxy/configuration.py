"""Which snapshot is in force: accept, reject, keep on disk, swap, pull.

Everything that can fail happens before the swap, so that the old snapshot serves on. The swap
itself is one assignment between two requests.
"""

import asyncio
import contextlib
import gc
import logging
import time
from typing import Any

from signalbox_ledger.accounts import check_spec
from signalbox_proxy import tokenizer
from signalbox_proxy.last_good import LastGood
from signalbox_proxy.logs import FIELDS
from signalbox_proxy.peers import Peers
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.services import Services
from signalbox_proxy.trust import Trust
from signalbox_snapshot import codec
from signalbox_snapshot import envelope as envelopes
from signalbox_snapshot.envelope import Envelope, EnvelopeError
from signalbox_snapshot.snapshot import Snapshot

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

    async def start(self, peers: Peers) -> None:
        """Take the last good snapshot from disk; with none, the highest that a peer runs."""
        await self._read_last_good()
        if self._envelope is None:
            await self._pull(peers)

    async def rely_on(self, trust: Trust) -> None:
        """Go by other keys and tokens from now on. What is in force stays in force."""
        self.trust = trust
        if self._envelope is None:
            await self._read_last_good()

    async def _read_last_good(self) -> None:
        if not self.trust.keys:
            return
        stored = await asyncio.to_thread(self._last_good.read)
        if stored is not None:
            try:
                await self.apply(stored, store=False)
            except (EnvelopeError, StaleError):
                _log.exception("the snapshot on disk is not accepted")

    async def keep_pulling(self, peers: Peers) -> None:
        """Ask peers while there is no snapshot, or one that is too old to be served by."""
        while peers:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._envelope is None or self._services.is_outdated:
                await self._pull(peers)
                await asyncio.sleep(PULL_EVERY_S)

    def status(self) -> dict[str, Any]:
        """What the control port tells of this proxy."""
        current, ledger = self._envelope, self._services.ledger
        return {
            "name": self._services.name,
            "holder": ledger.holder_id,
            "ledger": {
                "generation": ledger.ledger_generation,
                "min_generation": ledger.min_generation,
            },
            "ready": self._services.ready,
            "generation": current.generation if current else 0,
            "version": current.version if current else "",
            "since": self._since,
            "last_rejection": self._last_rejection,
            "key_id": current.key_id if current else "",
            "schemas": list(codec.ACCEPTED_SCHEMAS),
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
                return await self._sealed_again(current, envelope, sealed, store=store)
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

    async def _sealed_again(
        self, current: Envelope, envelope: Envelope, sealed: bytes, *, store: bool
    ) -> Envelope:
        """The snapshot in force, sealed by another key: kept, for the other may be withdrawn."""
        if envelope.key_id == current.key_id or envelope.min_generation != current.min_generation:
            return current
        if store:
            await asyncio.to_thread(self._last_good.write, sealed)
        self._envelope, self._sealed = envelope, sealed
        return envelope

    def _reject(self, reason: str, path: str) -> None:
        self._services.metrics.snapshot_rejected()
        self._last_rejection = {"reason": reason, "path": path, "at": int(time.time())}
        _log.warning("snapshot rejected", extra={FIELDS: {"reason": reason, "path": path}})

    async def _pull(self, peers: Peers) -> None:
        """Take the highest generation that a peer runs and that is accepted."""
        if not peers or not self.trust.tokens:
            return
        async with contextlib.aclosing(peers.sealed(self.trust.tokens[0])) as found:
            async for sealed in found:
                with contextlib.suppress(EnvelopeError, StaleError, OSError):
                    await self.apply(sealed)
                    return


def _build(snapshot: Snapshot, envelope: Envelope, now_s: int) -> Runtime:
    tokenizer.load(model.tokenizer for model in snapshot.models)
    runtime = Runtime.build(
        snapshot,
        version=envelope.version,
        generation=envelope.generation,
        fleet=envelope.fleet,
    )
    for position, spec in enumerate(runtime.budget_specs):
        try:
            check_spec(spec, now_s)
        except ValueError as error:
            raise EnvelopeError(str(error), f"$.snapshot.budgets[{position}]") from None
    return runtime


def _credential_names(snapshot: Snapshot) -> set[str]:
    return {lane.auth_key for model in snapshot.models for lane in model.lanes if lane.auth_key}

"""Fills the Secrets of a release and changes what they hold, step by step.

Each look reads them, asks `trust` for the next step and writes one Secret, again and again until
nothing is to be done or proxies have to follow first. Nothing is remembered between two looks that
the Secrets do not say, so that whoever looks next goes on. What is malformed is told and left as it
is: a key that somebody could still need is never overwritten.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from signalbox_operator.cluster.api import ApiError
from signalbox_operator.cluster.certificate_ends import certificate_ends
from signalbox_operator.cluster.certificates import Pair, is_good, issue, pairs
from signalbox_operator.cluster.release_secrets import Change, SecretApi, StoredSecret, read, write
from signalbox_operator.cluster.rings import KINDS, Data, RingKind
from signalbox_operator.cluster.webhook_trust import WebhookTrust, webhook_change
from signalbox_operator.control_port import ProxyStatus
from signalbox_operator.trust import Ring, Seen, Step, Waits, next_step

SECRETS: Final = ("signer", "control", "trust", "tokens", "webhook")
MAX_STEPS: Final = 20
"""More writes than one look ever needs; a look that came here meets another writer."""

_log = logging.getLogger("signalbox.operator")


@dataclass(frozen=True, slots=True)
class FleetTrust:
    """What is known of the fleet at a look.

    `proxies` are all, None for one that does not answer; `proxies` is None where that is not known.
    `head_key` names the key that sealed what is released, "" with nothing released. `requests` are
    what people wrote to have a ring changed, by its name.
    """

    proxies: Mapping[str, ProxyStatus | None] | None = None
    head_key: str = ""
    requests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrustLook:
    """What a look came to: sentences for the Fleet's status, what the webhook serves with, and when
    certificates end (seconds since the epoch)."""

    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    webhook: WebhookTrust | None = None
    ends: Mapping[str, float] = field(default_factory=dict)


class TrustKeeper:
    """Looks after the Secrets of one release."""

    def __init__(
        self, api: SecretApi, *, namespace: str, release: str, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._release = release
        self._clock = clock

    async def look(self, fleet: FleetTrust) -> TrustLook:
        """Does what can be done now. Raises ApiError where a Secret cannot be read or written."""
        changed: list[str] = []
        for _ in range(MAX_STEPS):
            vault = {name: await self._read(name) for name in SECRETS}
            plan = _Plan(vault, fleet, self._clock(), self._release, self._namespace)
            change = plan.next_change()
            if change is None or (change.name == "webhook" and "webhook" in changed):
                ends = certificate_ends({name: each.data for name, each in vault.items()})
                done = tuple(changed)
                return TrustLook(done, plan.waiting, plan.problems, plan.webhook(), ends)
            try:
                await write(self._api, self._namespace, vault[change.name], change)
            except ApiError as error:
                if not error.is_conflict:
                    raise
                continue
            changed.append(change.name)
            _log.info("Secret %s-%s is changed", self._release, change.name)
        return TrustLook(tuple(changed), problems=("another operator changes the Secrets",))

    async def _read(self, name: str) -> StoredSecret:
        return await read(self._api, self._namespace, f"{self._release}-{name}")


class _Plan:
    """The next write that one reading of all Secrets asks for."""

    def __init__(
        self,
        vault: Mapping[str, StoredSecret],
        fleet: FleetTrust,
        now: datetime,
        release: str,
        namespace: str,
    ) -> None:
        self._vault = vault
        self._fleet = fleet
        self._now = now
        self._control_name = f"{release}-proxy-control.{namespace}.svc"
        self._webhook_name = f"{release}-operator.{namespace}.svc"
        self._waiting: list[str] = []
        self._problems: list[str] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """What is waited for, one sentence each."""
        return tuple(self._waiting)

    @property
    def problems(self) -> tuple[str, ...]:
        """What people have to mend, one sentence each."""
        return tuple(self._problems)

    def webhook(self) -> WebhookTrust | None:
        """What the webhook serves with, None while it is not filled."""
        return WebhookTrust.of(self._data("webhook"))

    def next_change(self) -> Change | None:
        """One write, None where nothing can be written now."""
        for plan in (*(self._ring_planner(kind) for kind in KINDS), self._leaf, self._webhook):
            try:
                change = plan()
            except (ValueError, TypeError) as error:
                self._problems.append(str(error))
                continue
            if change is not None:
                return change
        return None

    def _ring_planner(self, kind: RingKind) -> Callable[[], Change | None]:
        def plan() -> Change | None:
            try:
                return self._ring(kind)
            except (ValueError, TypeError) as error:
                where = f"Secrets {kind.held} and {kind.shown} ({kind.name})"
                raise ValueError(f"{where}: {error}") from None

        return plan

    def _ring(self, kind: RingKind) -> Change | None:
        notes = self._vault[kind.held].notes
        items = kind.read(self._data(kind.held))
        names = tuple(kind.name_of(item) for item in items)
        asked = self._fleet.requests.get(kind.name, "")
        wanted = bool(asked) and asked != notes.get(f"rotated-{kind.name}", "")
        ring = Ring(
            items=names,
            published=kind.read_shown(self._data(kind.shown)),
            incoming=notes.get(f"incoming-{kind.name}", ""),
            due=wanted or (bool(items) and kind.ends_soon(items[0], self._now)),
        )
        seen = self._seen(kind, names)
        step = next_step(ring, seen)
        if isinstance(step, Waits):
            self._waiting.append(_sentence(kind, step))
            return None
        return None if step is None else self._change(kind, items, step, asked)

    def _seen(self, kind: RingKind, names: tuple[str, ...]) -> list[Seen] | None:
        if self._fleet.proxies is None:
            return None
        leaf = self._leaf_digest()
        seen = [
            Seen(name) if status is None else kind.seen(status, names or ("",), leaf)
            for name, status in self._fleet.proxies.items()
        ]
        if kind.name == "signer":
            seen.append(Seen("the released snapshot", names, self._fleet.head_key))
        return seen

    def _change(self, kind: RingKind, items: list[object], step: Step, asked: str) -> Change:
        incoming, rotated = f"incoming-{kind.name}", f"rotated-{kind.name}"
        if step == "publish":
            return Change(kind.shown, kind.write_shown(items))
        if step in ("make", "add"):
            fresh = kind.make(self._now)
            new = kind.name_of(fresh) if items else ""
            notes = {incoming: new} | ({rotated: asked} if asked else {})
            return Change(kind.held, kind.write([*items, fresh]), notes)
        if step == "switch":
            return Change(kind.held, kind.write([items[1], items[0]]))
        return Change(kind.held, kind.write(items[:1]), {incoming: ""})

    def _leaf(self) -> Change | None:
        """The control ports' certificate, by the authority that is in use."""
        authorities = KINDS[1].read(self._data("signer"))
        if not authorities or self._good_leaf(authorities[0]) is not None:
            return None
        made = issue(authorities[0], (self._control_name,), self._now)
        return Change("control", {"tls.crt": made.certificate, "tls.key": made.key})

    def _leaf_digest(self) -> str:
        """Names the certificate that all are to show; "" while the authority in use has yet to
        sign it: who shows an older one goes by that authority in no way."""
        try:
            authorities = KINDS[1].read(self._data("signer"))
        except (ValueError, TypeError):
            return ""
        leaf = self._good_leaf(authorities[0]) if authorities else None
        return leaf.digest if leaf is not None else ""

    def _good_leaf(self, authority: Pair) -> Pair | None:
        data = self._data("control")
        try:
            (found,) = pairs(data.get("tls.crt", b""), data.get("tls.key", b""))
        except (ValueError, TypeError):
            return None
        return found if is_good(found, authority, (self._control_name,), self._now) else None

    def _webhook(self) -> Change | None:
        return webhook_change(self._data("webhook"), (self._webhook_name,), self._now)

    def _data(self, name: str) -> Data:
        return self._vault[name].data


def _sentence(kind: RingKind, waits: Waits) -> str:
    what = {"signer": "signing key", "control": "authority", "tokens": "token"}[kind.name]
    if not waits.proxies:
        return f"the new {what} waits until it is known which proxies there are"
    named = ", ".join(waits.proxies[:5]) + (", …" if len(waits.proxies) > 5 else "")
    return f"the new {what} ({kind.name}) waits for {named} to follow"

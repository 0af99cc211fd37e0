"""The status of the one `Fleet` object: what is released, who runs it, what waits for a person.

Pure. What would have to be written on every object whenever a proxy starts stands here once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from signalbox_api.conditions import (
    ConditionStatus,
    ConditionType,
    Reason,
    condition,
    update_conditions,
)
from signalbox_api.fleet import (
    MAX_HELD,
    MAX_MEMBERS,
    FleetHeld,
    FleetMember,
    FleetPin,
    FleetProxies,
    FleetStatus,
)
from signalbox_operator.budget_status import Verdict
from signalbox_operator.facts import FleetFacts
from signalbox_operator.head import Head
from signalbox_operator.reporter import Report
from signalbox_operator.status import programmed
from signalbox_operator.trust import TrustTold

_LINE = 512
_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def fleet_status(
    report: Report,
    members: Sequence[FleetMember] = (),
    before: FleetStatus | None = None,
    *,
    unheard: str = "",
    trust: TrustTold | None = None,
) -> FleetStatus:
    """The status of the fleet; `before` is what it was, for `lastTransitionTime`. `unheard` says
    why the ledger was not heard for long; `trust` is None before the Secrets were looked at."""
    head, fleet = report.head, report.fleet
    current = [
        condition(kind, *verdict, generation=0, now=report.now)
        for kind, verdict in (
            (ConditionType.PROGRAMMED, _programmed(report)),
            (ConditionType.DEGRADED, degraded(report, unheard, trust)),
            (ConditionType.ROTATING, rotating(trust)),
        )
    ]
    return FleetStatus(
        fleet_id=head.fleet_id[:128] or None if head else None,
        generation=head.generation if head else 0,
        version=head.version if head else None,
        proxies=_proxies(fleet),
        pinned=_pinned(report),
        held=_held(report.held),
        members=tuple(members)[:MAX_MEMBERS],
        conditions=update_conditions(before.conditions if before else (), current),
    )


def rotating(trust: TrustTold | None) -> Verdict:
    """Whether a key, an authority or tokens are being changed, and for whom that waits."""
    if trust is None:
        return _UNKNOWN, Reason.PENDING, "The Secrets were not looked at yet."
    if trust.waiting:
        return _TRUE, Reason.WAITS_FOR_PROXIES, _sentences(trust.waiting)
    if trust.problems:
        return _UNKNOWN, Reason.SECRETS_UNUSABLE, _sentences(trust.problems)
    return _FALSE, Reason.NOTHING_CHANGES, "Every proxy goes by what is in use."


def degraded(report: Report, unheard: str = "", trust: TrustTold | None = None) -> Verdict:
    """Whether somebody should look, and why; the first of several reasons."""
    head, fleet = report.head, report.fleet
    if report.problem:
        return _TRUE, Reason.NOT_RELEASED, report.problem
    if head is None:
        return _UNKNOWN, Reason.PENDING, "Nothing is released yet."
    status, reason, message = programmed(fleet, head.generation)
    if reason is Reason.REJECTED:
        return _TRUE, reason, message
    if not any(proxy.ready for proxy in fleet.proxies):
        return _TRUE, Reason.NO_PROXY, f"None of {len(fleet.proxies)} proxies is ready."
    if unheard:
        return _TRUE, Reason.LEDGER_UNREACHABLE, f"Numbers of budgets are old: {unheard}"
    asked = _asked_of_people(report, head, trust)
    if asked is not None:
        return asked
    if status is not _TRUE:
        return _FALSE, Reason.PENDING, message
    return _FALSE, Reason.ALL_WELL, "Every ready proxy runs what is written."


def _asked_of_people(report: Report, head: Head, trust: TrustTold | None) -> Verdict | None:
    """What people wrote or have to decide, while proxies and ledger are well."""
    if trust is not None and trust.problems:
        return _TRUE, Reason.SECRETS_UNUSABLE, _sentences(trust.problems)
    if report.rollback_problem:
        return _TRUE, Reason.ROLLBACK_REFUSED, report.rollback_problem
    if report.held:
        return _TRUE, Reason.HELD, " ".join(report.held[:MAX_HELD])
    if head.pin is not None:
        return _TRUE, Reason.PINNED, f"Generation {head.pin.generation} serves; see status.pinned."
    return None


def _sentences(found: Sequence[str]) -> str:
    return " ".join(f"{each[:1].upper()}{each[1:]}." for each in found)


def _programmed(report: Report) -> Verdict:
    if report.head is None:
        return _UNKNOWN, Reason.PENDING, "Nothing is released yet."
    return programmed(report.fleet, report.head.generation)


def _proxies(fleet: FleetFacts) -> FleetProxies:
    ready = [proxy for proxy in fleet.proxies if proxy.ready]
    running = sum((proxy.generation or 0) >= fleet.generation for proxy in ready)
    total = len(fleet.proxies)
    return FleetProxies(
        ready=len(ready), programmed=running, total=total, summary=f"{running}/{total}"
    )


def _pinned(report: Report) -> FleetPin | None:
    pin = report.head.pin if report.head else None
    if pin is None:
        return None
    until = datetime.fromtimestamp(pin.until, UTC)
    return FleetPin(generation=pin.generation, until=until, by=pin.by[:_LINE])


def _held(held: Sequence[str]) -> FleetHeld | None:
    if not held:
        return None
    return FleetHeld(changes=len(held), messages=tuple(each[:_LINE] for each in held[:MAX_HELD]))

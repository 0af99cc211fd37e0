"""One case for each reason that a condition can have, by the compiler and by status."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_api import Resource
from signalbox_api.conditions import ConditionStatus, ConditionType, Reason
from signalbox_api.status import Status
from signalbox_operator.compiler import Compilation
from signalbox_operator.control_port import Rejected
from signalbox_operator.facts import AccountFacts, FleetFacts, ProxyFacts
from signalbox_operator.fleet_status import fleet_status
from signalbox_operator.head import Head, Pin
from signalbox_operator.lowering import lowered
from signalbox_operator.releases import ReleaseMemory
from signalbox_operator.reporter import Report as Told
from signalbox_operator.status import Report, with_status
from signalbox_operator.trust import TrustTold
from signalbox_snapshot import codec
from signalbox_snapshot.envelope import seal
from support.written import (
    PLATFORM,
    agent,
    budget,
    company,
    compiled,
    domain,
    fleet,
    model,
    policy,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
DAY = f"{PLATFORM}/day"
Said = tuple[ConditionType, ConditionStatus, Reason]


def version_of(compilation: Compilation) -> str:
    return codec.version(codec.encode(compilation.snapshot))


def running(compilation: Compilation, *proxies: ProxyFacts) -> FleetFacts:
    """A fleet whose head is this compilation, generation 7; all proxies run it by default."""
    version = version_of(compilation)
    default = (ProxyFacts("proxy-0", True, 7, version), ProxyFacts("proxy-1", True, 7, version))
    return FleetFacts(7, version, proxies or default)


def account(
    *, settled: int = 0, held: int = 0, overrun: int = 0, limit: int = 5_000_000_000, **more: int
) -> AccountFacts:
    """The shared account of the budget `day`, whose limit is 5 USD."""
    return AccountFacts(
        budget=DAY,
        limit=limit,
        settled=settled,
        held=held,
        overrun=overrun,
        remaining=limit - settled - overrun,
        window_start=1_777_593_600,
        window_end=1_777_680_000,
        **more,  # type: ignore[arg-type]
    )


def reported(
    objects: Sequence[Resource],
    compilation: Compilation | None = None,
    *,
    fleet_facts: FleetFacts | None = None,
    accounts: tuple[AccountFacts, ...] | None = (),
) -> list[Resource]:
    found = compilation or compiled(objects)
    facts = running(found) if fleet_facts is None else fleet_facts
    return with_status(objects, Report(found, facts, accounts, NOW))


def said(objects: Iterable[Resource]) -> set[Said]:
    return {
        each
        for resource in objects
        for each in said_by(resource.status)  # type: ignore[attr-defined]
    }


def said_by(status: Status) -> set[Said]:
    return {(item.type, item.status, item.reason) for item in status.conditions}


def sealed(compilation: Compilation, generation: int = 7, pin: Pin | None = None) -> Head:
    """The head that released a compilation."""
    payload = codec.encode(compilation.snapshot)
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    made = seal(key, fleet="test", generation=generation, payload=payload)
    return msgspec.structs.replace(Head.of(made), fleet_id="f-1", pin=pin)


def told(
    objects: Sequence[Resource],
    compilation: Compilation | None = None,
    *,
    head: Head | None = None,
    fleet_facts: FleetFacts | None = None,
    **more: Any,
) -> Told:
    """What the operator's loop reports of objects that are released, unless told otherwise."""
    found = compilation or compiled(objects)
    return Told(
        objects={item.key: item for item in objects},
        unreadable={},
        compilation=found,
        version=version_of(found),
        head=head or sealed(found),
        fleet=running(found) if fleet_facts is None else fleet_facts,
        proxies=(),
        now=NOW,
        **more,
    )


def everything_a_fleet_can_say() -> Iterator[Status]:
    plain = fleet()
    ready = told(plain)
    refused = Rejected("proxy-1", "is no", "$.agents")
    refusing = FleetFacts(7, "", (ProxyFacts("proxy-1", True, 6, "0" * 64, refused),))
    behind = FleetFacts(7, "", (ProxyFacts("proxy-1", True, 6),))
    for report in (
        ready,
        replace(ready, head=None),
        replace(ready, problem="The head cannot be written."),
        replace(ready, rollback_problem="generation 3 is not kept"),
        replace(ready, held=("Three of five Agents are gone at once.",)),
        replace(ready, head=sealed(ready.compilation, pin=Pin(generation=5, until=1_777_700_000))),
        replace(ready, fleet=FleetFacts(7, "")),
        replace(ready, fleet=refusing),
        replace(ready, fleet=behind),
    ):
        yield fleet_status(report)
    yield fleet_status(ready, unheard="proxy-0: HTTP 503")
    for trust in (
        TrustTold(),
        TrustTold(waiting=("the new token (tokens) waits for proxy-1 to follow",)),
        TrustTold(problems=("Secret signalbox-signer is malformed",)),
    ):
        yield fleet_status(ready, trust=trust)


def everything_withheld() -> Iterator[Resource]:
    before, after = compiled(fleet()), fleet(budget("day", limit={"usd": "6"}))
    pin = Pin(generation=5, until=1_777_700_000)
    for report in (
        told(after, head=sealed(before, pin=pin)),
        told(after, head=sealed(before), problem="The head cannot be written."),
    ):
        releases = ReleaseMemory().note(report)
        facts = Report(report.compilation, running(before), (), NOW, releases=releases)
        yield from with_status(after, facts)


def everything_that_can_be_said() -> set[Said]:
    plain = fleet(policy("p"))
    found = compiled(plain)
    version = version_of(found)
    old = ProxyFacts("proxy-1", True, 6, "0" * 64)
    refusing = ProxyFacts("proxy-1", True, 6, "0" * 64, Rejected("proxy-1", "is no", "$.agents"))
    fleets = [
        FleetFacts(),
        FleetFacts(7, version),
        running(found),
        running(found, ProxyFacts("proxy-0", True, 7, version), old),
        running(found, refusing),
    ]
    warned = fleet(budget("day", warnAtPercent=[50]))
    accounts = [
        (warned, account(settled=3_000_000_000)),
        (plain, account(settled=5_000_000_000)),
        (plain, account(settled=4_000_000_000, overrun=500_000_000)),
        (plain, account(settled=5_000_000_000, overrun=500_000_000)),
    ]
    wrong = fleet(
        company(residency={"jurisdictions": ["EU"]}),
        domain("rogue", "retail", parent=None),
        domain("self", "retail", parent="self"),
        domain("abroad", "retail", residency={"jurisdictions": ["US"]}),
        *(
            domain(f"n{level:02}", parent=f"n{level - 1:02}" if level else None)
            for level in range(17)
        ),
        agent("lost", domain="gone"),
        agent("spy", domain="wealth/wealth"),
        model("mini", aliases=["x"]),
        model("nano", aliases=["x"]),
        model("free", price=None),
        policy("wide", objective="best"),
        policy("deep", "retail", objective="cheapest", constraints={"laneClasses": ["sovereign"]}),
    )
    result = said(reported(wrong))
    result |= said(reported(plain, compiled([])))
    result |= said(reported(plain, accounts=None))
    for facts in fleets:
        result |= said(reported(plain, fleet_facts=facts))
    result |= said(everything_withheld())
    waiting = fleet(policy("cached", promptCaching="Place"))
    result |= said(reported(waiting, lowered(compiled(waiting), 1)))
    for status in everything_a_fleet_can_say():
        result |= said_by(status)
    for objects, facts_of_account in accounts:
        result |= said(reported(objects, accounts=(facts_of_account,)))
    return result

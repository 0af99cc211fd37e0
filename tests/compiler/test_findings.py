"""What people read: golden findings of a company that gets much wrong, and every closed reason."""

from pathlib import Path

from signalbox_api.conditions import REASONS, ConditionType, Reason
from signalbox_operator.compiler import Finding
from support.statuses import everything_that_can_be_said
from support.written import (
    agent,
    asset,
    budget,
    company,
    compiled,
    domain,
    fleet,
    lane,
    model,
    policy,
)

GOLDEN = Path(__file__).with_name("golden_findings.txt")


def confused_company() -> tuple[Finding, ...]:
    objects = fleet(
        company(residency={"jurisdictions": ["EU"]}, defaultSensitivity="internal"),
        domain("rogue", "retail", parent=None),
        domain("ring-a", "retail", parent="ring-b"),
        domain("ring-b", "retail", parent="ring-a"),
        domain("abroad", "wealth", residency={"jurisdictions": ["US"]}),
        domain("loose", "wealth", defaultSensitivity="public"),
        asset("orphan", domain="gone"),
        agent("typo", models={"allow": ["mini", "mimi"]}, defaults={"dataAssets": ["orphan"]}),
        agent("lost", domain="company"),
        agent("spy", domain="wealth/wealth"),
        model("mini", aliases=["small"]),
        model("nano", aliases=["small"], deprecation={"replacement": "pico"}),
        model("pricey", price=None, lanes=[lane("us"), lane("eu")]),
        model("own", "retail"),
        budget("ghost", "retail", scope={"agent": "ghost"}),
        policy("wide", objective="best", constraints={"laneClasses": ["public"]}),
        policy("deep", "retail", objective="cheapest", constraints={"laneClasses": ["regional"]}),
        policy("missing", candidates=["mini", "maxi"], match={"domains": ["retail/gone"]}),
    )
    return compiled(objects).findings


def test_findings_read_as_they_did() -> None:
    """After a change that is meant: write what `confused_company` gives into the golden file."""
    assert "".join(f"{item}\n" for item in confused_company()) == GOLDEN.read_text()


def test_every_finding_names_object_field_reason_and_fix() -> None:
    for finding in confused_company():
        assert finding.kind
        assert finding.namespace
        assert finding.name
        assert finding.field.startswith(("spec", "metadata."))
        assert finding.fix[0].isupper()
        assert not finding.fix.endswith(".")
        assert not finding.message.endswith(".")


def test_every_error_has_a_reason_that_the_condition_accepted_may_have() -> None:
    permitted = {
        reason for reasons in REASONS[ConditionType.ACCEPTED].values() for reason in reasons
    }
    errors = {item.reason for item in confused_company() if item.severity == "error"}
    assert errors <= permitted


def test_every_closed_reason_is_produced() -> None:
    """A reason that nothing produces would be one that programs wait for in vain."""
    said = everything_that_can_be_said()
    for kind, by_status in REASONS.items():
        for status, reasons in by_status.items():
            for reason in reasons:
                assert (kind, status, reason) in said, f"{kind}={status} {reason}"
    assert {reason for _, _, reason in said} == set(Reason)

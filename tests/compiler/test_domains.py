"""Domain trees: parents, locks, inherited classes, circles."""

import pytest

from signalbox_api.conditions import Reason
from signalbox_snapshot import snapshot as wire
from support.written import PLATFORM, about, agent, company, compiled, domain, fleet, only


def domains(snapshot: wire.Snapshot) -> dict[str, wire.Domain]:
    return {item.id: item for item in snapshot.domains}


def test_a_domain_knows_its_parents_up_to_the_root() -> None:
    found = compiled(fleet(domain("shop", "retail", parent="retail"))).snapshot
    shop = domains(found)["retail/shop"]
    assert shop.ancestors == ["retail/retail", f"{PLATFORM}/company"]


@pytest.mark.parametrize(
    ("root", "child", "expected"),
    [
        (None, None, None),
        (["DE", "FR"], None, ["DE", "FR"]),
        (None, ["FR", "DE"], ["DE", "FR"]),
        (["EU"], ["DE", "US"], ["DE"]),
        (["EEA"], ["NO", "CH"], ["NO"]),
    ],
)
def test_a_lock_is_what_all_levels_leave(
    root: list[str] | None, child: list[str] | None, expected: list[str] | None
) -> None:
    objects = fleet(
        company(residency={"jurisdictions": root} if root else None),
        domain("retail", "retail", residency={"jurisdictions": child} if child else None),
    )
    assert domains(compiled(objects).snapshot)["retail/retail"].jurisdictions == expected


def test_groups_of_countries_are_gone_from_the_snapshot() -> None:
    found = compiled(fleet(company(residency={"jurisdictions": ["EU"]}))).snapshot
    lock = domains(found)[f"{PLATFORM}/company"].jurisdictions
    assert lock is not None
    assert len(lock) == 27
    assert lock == sorted(lock)


def test_locks_that_exclude_each_other_leave_nothing_and_are_told() -> None:
    found = compiled(
        fleet(
            company(residency={"jurisdictions": ["US"]}),
            domain("wealth", "wealth", residency={"jurisdictions": ["EU"]}),
        )
    )
    assert domains(found.snapshot)["wealth/wealth"].jurisdictions == []
    assert only(found, "Domain", "wealth").reason is Reason.CONFLICT


@pytest.mark.parametrize(
    ("root", "child", "expected"),
    [
        (None, None, None),
        ("internal", None, 1),
        (None, "public", 0),
        ("internal", "regulated", 3),
        ("confidential", "public", 2),
    ],
)
def test_the_default_class_is_inherited_and_tenants_can_only_raise_it(
    root: str | None, child: str | None, expected: int | None
) -> None:
    found = compiled(
        fleet(
            company(defaultSensitivity=root), domain("retail", "retail", defaultSensitivity=child)
        )
    )
    assert domains(found.snapshot)["retail/retail"].default_sensitivity == expected


def test_a_tenant_that_tries_to_lower_the_class_is_told() -> None:
    found = compiled(
        fleet(
            company(defaultSensitivity="confidential"),
            domain("retail", "retail", defaultSensitivity="public"),
        )
    )
    finding = only(found, "Domain", "retail")
    assert (finding.severity, finding.field) == ("warning", "spec.defaultSensitivity")
    assert "confidential is in force" in finding.message


def test_the_platform_may_lower_the_class_of_its_own_child() -> None:
    found = compiled(
        [
            company(defaultSensitivity="confidential"),
            domain("website", parent="company", defaultSensitivity="public"),
        ]
    )
    assert domains(found.snapshot)[f"{PLATFORM}/website"].default_sensitivity == 0


def test_a_tenant_cannot_found_a_tree_of_its_own() -> None:
    """It would lie outside of the company's locks and budgets."""
    found = compiled(fleet(domain("rogue", "retail", parent=None)))
    assert "retail/rogue" not in domains(found.snapshot)
    assert only(found, "Domain", "rogue").reason is Reason.NAMESPACE_NOT_PERMITTED


def test_a_platform_domain_admits_only_the_namespaces_that_it_lists() -> None:
    found = compiled(fleet(company(allowedNamespaces=["retail"])))
    assert set(domains(found.snapshot)) == {f"{PLATFORM}/company", "retail/retail"}
    finding = only(found, "Domain", "wealth")
    assert finding.reason is Reason.REF_NOT_PERMITTED
    assert "allowedNamespaces" in finding.fix


def test_nobody_names_the_domain_of_another_tenant() -> None:
    found = compiled(fleet(domain("spy", "retail", parent="wealth/wealth")))
    assert "retail/spy" not in domains(found.snapshot)
    assert only(found, "Domain", "spy").reason is Reason.REF_NOT_PERMITTED


def test_a_missing_parent_takes_its_children_along_and_nobody_else() -> None:
    found = compiled(
        fleet(
            domain("lost", "retail", parent="gone"),
            domain("below", "retail", parent="lost"),
            agent("orphan", "retail", domain="below"),
        )
    )
    assert set(domains(found.snapshot)) == {
        f"{PLATFORM}/company",
        "retail/retail",
        "wealth/wealth",
    }
    assert [item.id for item in found.snapshot.agents] == ["retail/search", "wealth/advisor"]
    assert "does not exist" in only(found, "Domain", "lost").message
    assert "is not accepted itself" in only(found, "Domain", "below").message
    assert "is not accepted itself" in only(found, "Agent", "orphan").message


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_a_circle_is_shown_and_takes_nobody_outside_of_it_along(length: int) -> None:
    ring = [
        domain(f"ring-{number}", "retail", parent=f"ring-{(number + 1) % length}")
        for number in range(length)
    ]
    tail = domain("tail", "retail", parent="ring-0")
    found = compiled(fleet(*ring, tail))
    assert len(found.snapshot.domains) == 3
    for number in range(length):
        finding = only(found, "Domain", f"ring-{number}")
        assert finding.reason is Reason.CYCLE
        name = f"retail/ring-{number}"
        assert finding.message.count(name) == 2
    assert only(found, "Domain", "tail").reason is Reason.REF_NOT_FOUND


def test_a_tree_has_a_bounded_depth() -> None:
    chain = [
        domain(f"level-{number:02}", parent=f"level-{number - 1:02}" if number else None)
        for number in range(40)
    ]
    found = compiled(chain)
    assert len(found.snapshot.domains) == 16
    assert about(found, "Domain", "level-16")[0].reason is Reason.INVALID
    assert about(found, "Domain", "level-39")[0].reason is Reason.INVALID

"""One namespace cannot fill the snapshot of all: what is beyond its bounds takes no part, is told
so, and takes nothing from what was there before."""

from collections.abc import Iterable

import pytest

from signalbox_api import Resource
from signalbox_api.conditions import Reason
from signalbox_ledger import accounts
from signalbox_ledger.framing import frame
from signalbox_ledger.protocol import Configure
from signalbox_operator.compiler import Compilation, bounds
from signalbox_operator.compiler.overlaps import NAMED
from support.written import PLATFORM, agent, budget, compiled, fleet, key_of, policy, written

MOST = bounds.TENANT["RoutePolicy"]


def policies(count: int, namespace: str = "retail") -> list[Resource]:
    return [policy(f"p{number:05}", namespace, objective="best") for number in range(count)]


def made(name: str, day: int) -> Resource:
    """A policy of retail, made on a day of May."""
    at = f"2026-05-{day:02}T00:00:00Z"
    return written("RoutePolicy", name, "retail", {"objective": "best"}, creationTimestamp=at)


def serving(found: Compilation, kind: str = "RoutePolicy", namespace: str = "retail") -> set[str]:
    return {
        key.name
        for key, state in found.states.items()
        if (key.kind, key.namespace) == (kind, namespace) and state.serving_generation is not None
    }


def left_out(found: Compilation) -> set[str]:
    return {
        f"{key.namespace}/{key.name}"
        for key, state in found.states.items()
        if state.reason is Reason.NAMESPACE_NOT_PERMITTED and state.serving_generation is None
    }


def test_a_tenant_with_thousands_of_policies_has_its_bound_of_them_and_nobody_else_notices() -> (
    None
):
    found = compiled(fleet(*policies(4 * MOST), *policies(3, "wealth"), *policies(3, PLATFORM)))
    assert len(serving(found)) == MOST
    assert len(serving(found, namespace="wealth")) == 3
    assert len(found.snapshot.policies) == MOST + 6
    assert len(left_out(found)) == 3 * MOST
    state = found.states[key_of("RoutePolicy", f"p{MOST:05}", "retail")]
    (finding,) = state.findings
    assert f"at most {MOST} RoutePolicies" in finding.text
    assert "Delete" in finding.fix
    assert state.form is None


def test_of_too_many_the_oldest_are_in_force() -> None:
    first, last = made("z-first", 1), made("a-last", 30)
    between = [made(f"p{number:05}", 15) for number in range(MOST - 1)]
    found = compiled(fleet(last, *between, first))
    assert left_out(found) == {"retail/a-last"}
    found = compiled(fleet(last, *between, made("b-between", 15), first))
    assert left_out(found) == {"retail/a-last", f"retail/p{MOST - 2:05}"}


def test_what_is_in_force_stays_whatever_comes_and_room_is_taken_up_again() -> None:
    """An accepted form has no age, and an object that was restored has a new one."""
    before = compiled(fleet(*(made(f"p{number:05}", 15) for number in range(MOST))))
    older = made("a-first", 1)
    restored = [made(f"p{number:05}", 20) for number in range(MOST)]
    after = compiled(fleet(older, *restored), before)
    assert left_out(after) == {"retail/a-first"}
    assert left_out(compiled(fleet(older, *policies(MOST)), before)) == {"retail/a-first"}
    assert left_out(compiled(fleet(older, *restored[1:]), after)) == set()


def test_policies_that_an_earlier_release_accepted_beyond_the_bound_hold_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without them their agents might do what they may not."""
    before = compiled(fleet(*policies(5)))
    monkeypatch.setattr(bounds, "TENANT", dict(bounds.TENANT) | {"RoutePolicy": 2})
    assert len(serving(compiled(fleet(*policies(6)), before))) == 5
    assert len(serving(compiled(fleet(*policies(6))))) == 2


def test_the_budgets_of_all_fit_into_the_message_that_tells_them_to_the_ledger() -> None:
    """Were they too many every proxy would refuse the snapshot, and no object be blamed."""
    most = bounds.TENANTS["Budget"] + bounds.PLATFORM["Budget"]
    longest = accounts.BudgetSpec(
        id=f"{'n' * 63}/{'b' * 63}",
        unit="requests",
        limit=10**18,
        every="month",
        count=10_000,
        time_zone="America/Argentina/ComodRivadavia",
        per="session",
        new_subjects=10**18,
    )
    assert frame(0, Configure(2**53, [longest] * most))


def test_tenants_together_have_a_bound_and_the_platform_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "TENANTS", {"RoutePolicy": 3})
    found = compiled(
        fleet(*policies(2), *(made(f"z{day}", day) for day in (1, 2)), *policies(9, PLATFORM))
    )
    assert len(serving(found, namespace=PLATFORM)) == 9
    assert left_out(found) == {"retail/z2"}
    later = compiled(fleet(*policies(2), made("z1", 1), policy("a", "wealth")), found)
    assert left_out(later) == {"wealth/a"}


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (
            [policy(f"w{number}", "retail", objective="best") for number in range(4)],
            [policy(f"n{n}", "retail", match={"agents": ["search"]}) for n in range(9)],
        ),
        (
            [budget(f"w{number}", "retail", scope={"all": True}) for number in range(4)],
            [budget(f"n{n}", "retail", scope={"agent": "search"}) for n in range(9)],
        ),
    ],
    ids=["policies", "budgets"],
)
def test_what_reaches_every_agent_of_a_namespace_is_bounded_by_how_many_there_are(
    wide: Iterable[Resource], narrow: Iterable[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pair of the two is a line of the snapshot: their product is what fills it."""
    monkeypatch.setattr(bounds, "REACH", 9)
    agents = [agent(f"b{number}", "retail") for number in range(2)]
    found = compiled(fleet(*agents, *wide, *narrow))
    assert left_out(found) == {"retail/w3"}
    more = compiled(fleet(*agents, agent("late", "retail"), *wide, *narrow), found)
    assert left_out(more) == {"retail/late", "retail/w3"}


def test_of_hundreds_of_policies_that_dispute_each_other_all_are_told_and_a_few_named() -> None:
    crowd = [
        policy(
            f"p{number:03}",
            "retail",
            objective=("best", "cheapest")[number % 2],
            constraints={"regions": [f"r{number}"]},
        )
        for number in range(3 * NAMED)
    ]
    found = compiled(fleet(*crowd))
    states = [found.states[item.key] for item in crowd]
    assert all(0 < len(state.disputed_by) <= NAMED for state in states)
    assert max(len(state.overruled_by) for state in states) == NAMED
    assert all(any(item.reason is Reason.CONFLICT for item in state.findings) for state in states)
    assert any("or more others" in item.message for item in states[-1].findings)

"""What is worth an Event: each step of each window once, and what failed closed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from signalbox_api import Resource, ResourceKey
from signalbox_api.status import Status
from signalbox_operator.facts import AccountFacts
from signalbox_operator.fleet_status import fleet_status
from signalbox_operator.status import Report, with_status
from signalbox_operator.status_notes import ALIKE, About, Note, degraded, few_of_each, notes
from support.statuses import NOW, account, running, told
from support.written import agent, budget, compiled, fleet, without

STEPS = (50, 80)
FLEET = ResourceKey("Fleet", "signalbox-system", "signalbox")


def day(
    facts: AccountFacts | None, before: Sequence[Resource] | None = None, **spec: Any
) -> list[Resource]:
    """The company with its budget `day`, as status tells it."""
    objects = fleet(budget("day", warnAtPercent=list(STEPS), **spec))
    found = compiled(objects)
    accounts = None if facts is None else (facts,)
    previous = {item.key: item for item in before or ()}
    return with_status(objects, Report(found, running(found), accounts, NOW), previous)


def of(objects: Sequence[Resource], kind: str = "Budget", name: str = "day") -> Resource:
    return next(item for item in objects if (item.kind, item.metadata.name) == (kind, name))


def status_of(item: Resource) -> Status:
    found = item.status  # type: ignore[attr-defined]
    assert isinstance(found, Status)
    return found


def between(before: Sequence[Resource] | None, now: Sequence[Resource]) -> list[Note]:
    was = None if before is None else status_of(of(before))
    return notes(About(of(now).key, "u", STEPS), was, status_of(of(now)))


def spent(usd_cents: int, **more: Any) -> AccountFacts:
    return account(settled=usd_cents * 10_000_000, **more)


def test_each_warning_step_is_told_when_it_is_crossed() -> None:
    low, middle, high = (day(spent(cents)) for cents in (100, 250, 400))
    assert between(None, low) == []
    (first,) = between(low, middle)
    assert (first.reason, first.uid) == ("BudgetWarning", "u")
    assert first.message == (
        "50 % of 5.00 usd is used in the window that ends at 2026-05-02T00:00:00Z."
    )
    (second,) = between(middle, high)
    assert second.message.startswith("80 % of 5.00")
    assert between(high, high) == []
    assert [each.message[:4] for each in between(low, high)] == ["50 %", "80 %"]


def test_a_step_is_told_once_for_its_window_whoever_tells_it() -> None:
    low, high = day(spent(100)), day(spent(450))
    again = between(None, high)
    assert {each.name for each in between(low, high)} == {each.name for each in again}
    assert len({each.name for each in again}) == 2
    assert between(high, day(spent(460))) == []


def test_a_new_window_and_another_limit_are_told_anew() -> None:
    first = between(None, day(spent(450)))
    later = spent(450)
    later = AccountFacts(
        **{
            name: getattr(later, name)
            for name in ("budget", "limit", "settled", "held", "overrun", "remaining")
        },
        window_start=later.window_end,
        window_end=later.window_end + 86_400,
    )
    second = between(day(spent(450)), day(later))
    assert [each.reason for each in second] == ["BudgetWarning"] * 2
    raised = day(spent(900, limit=10_000_000_000), limit={"usd": "10"})
    third = between(day(spent(100)), raised)
    names = [{each.name for each in found} for found in (first, second, third)]
    assert len(set.union(*names)) == sum(len(each) for each in names)


def test_exhaustion_is_told_once() -> None:
    high, empty = day(spent(450)), day(spent(500))
    (told_now,) = between(high, empty)
    assert told_now.reason == "BudgetExhausted"
    assert told_now.message.startswith("5.00 of 5.00 USD is spent (100 %).")
    assert between(empty, day(spent(500, held=1))) == []
    refused = day(spent(499, refused=True))
    assert [each.reason for each in between(high, refused)] == ["BudgetExhausted"]


def test_before_the_ledger_is_heard_what_was_told_stands_and_nothing_is_told_again() -> None:
    empty = day(spent(500))
    started = day(None, empty)
    assert status_of(of(started)) == status_of(of(empty))
    assert between(empty, started) == []
    assert between(started, day(spent(500), started)) == []


def test_a_refused_object_is_told_by_generation() -> None:
    wrong = fleet(agent("lost", domain="gone"))
    found = compiled(wrong)
    shown = with_status(wrong, Report(found, running(found), (), NOW))
    lost = of(shown, "Agent", "lost")
    (note,) = notes(About(lost.key, "u"), None, status_of(lost))
    assert note.reason == "NotAccepted"
    assert "spec.domain: Domain retail/gone does not exist." in note.message
    assert notes(About(lost.key, "u"), status_of(lost), status_of(lost)) == []


def test_what_fails_closed_when_a_domain_is_deleted_is_told_of_each_that_it_owned() -> None:
    objects = fleet(budget("wealth", scope={"domain": "wealth/wealth"}))
    found = compiled(objects)
    before = with_status(objects, Report(found, running(found), (), NOW))
    left = without(before, "Domain", "wealth")
    after_found = compiled(left, found)
    later = NOW + timedelta(minutes=1)
    after = with_status(left, Report(after_found, running(after_found), (), later))
    closed = {
        item.key: notes(About(item.key, ""), status_of(item), status_of(now))
        for item, now in zip(left, after, strict=True)
    }
    told_of = {key for key, found in closed.items() if found}
    assert ResourceKey("Budget", "signalbox-system", "wealth") in told_of
    assert any(key.kind == "Agent" for key in told_of)
    for found in closed.values():
        assert [each.reason for each in found] in ([], ["FailedClosed"])
    note = closed[ResourceKey("Budget", "signalbox-system", "wealth")][0]
    assert note.message.startswith("Was in force and is not as written any more: ")
    assert "does not exist" in note.message


def test_many_at_once_are_told_as_a_number() -> None:
    many = [
        Note(ResourceKey("Agent", "ns", f"a{n}"), "", "FailedClosed", "m", f"n{n}")
        for n in range(ALIKE + 300)
    ]
    found = few_of_each(many, FLEET, NOW)
    assert found[:ALIKE] == many[:ALIKE]
    (rest,) = found[ALIKE:]
    assert (rest.key, rest.reason) == (FLEET, "AndMore")
    assert rest.message == "At once and not told one by one: 300 Agent: FailedClosed."


def test_a_degraded_fleet_is_told_when_it_begins() -> None:
    report = told(fleet())
    well = fleet_status(report)
    ill = fleet_status(told(fleet(), problem="The head cannot be written."), before=well)
    assert degraded(FLEET, None, well) == []
    (note,) = degraded(FLEET, well, ill)
    assert (note.reason, note.message) == ("Degraded", "The head cannot be written.")
    assert degraded(FLEET, ill, ill) == []


def test_names_of_events_are_names_that_an_api_server_takes() -> None:
    note = notes(About(ResourceKey("Budget", "ns", "b" * 63), "u", STEPS), None, _used())[0]
    assert len(note.name) <= 253
    assert note.name.replace("-", "").replace(".", "").isalnum()


def _used() -> Status:
    return status_of(of(day(spent(250))))

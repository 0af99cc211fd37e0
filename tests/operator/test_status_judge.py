"""What is judged again when something changed, and what a new operator makes of what it finds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from signalbox_api import Resource, ResourceKey
from signalbox_api.fleet import FleetMember
from signalbox_operator.control_port import Rejected
from signalbox_operator.facts import AccountFacts, FleetFacts, ProxyFacts
from signalbox_operator.head import Pin
from signalbox_operator.inventory import Unreadable
from signalbox_operator.reporter import Report
from signalbox_operator.status_judge import SLICE, Judge
from signalbox_operator.status_notes import Note
from signalbox_operator.status_plan import NUMBERS_S, StatusPlan, Urgency, Write
from support.statuses import NOW, account, running, sealed, told
from support.written import agent, budget, compiled, domain, fleet, model, written

FLEET = ResourceKey("Fleet", "signalbox-system", "signalbox")


class Operator:
    """A judge with its plan, a clock, and an API server that stores what is written."""

    def __init__(self, stored: Iterable[Resource]) -> None:
        self.plan = StatusPlan()
        self.judge = Judge(self.plan, FLEET)
        self.judge.read_fleet(None)
        self.stored = {item.key: item for item in stored}
        self.now = 100.0
        self.notes: list[Note] = []
        self.writes: list[Write] = []

    def report(self, **more: Any) -> Report:
        objects = list(self.stored.values())
        made = told(objects, compiled(objects))
        return replace(made, **more)

    def settle(self, report: Report, accounts: Sequence[AccountFacts] | None = ()) -> list[str]:
        """Judges and writes until nothing is left; which objects were written."""
        before = len(self.writes)
        self.judge.take(report)
        if accounts is not None:
            self.judge.hear(accounts)
        self._judge()
        for _ in range(200):
            for write in self.plan.due(self.now):
                self._store(write)
            self.now += 0.2
        return sorted(write.key.name for write in self.writes[before:] if write.key != FLEET)

    def _judge(self, wall: datetime = NOW) -> None:
        self.notes += self.judge.judge_fleet((), "", wall, self.now)
        while not self.judge.is_done:
            self.notes += self.judge.judge_some(wall, self.now)

    def _store(self, write: Write) -> None:
        self.writes.append(write)
        self.plan.written(write, self.now)
        if write.key in self.stored:
            item = self.stored[write.key]
            data = item.manifest() | {"status": write.status}
            self.stored[write.key] = type(item).model_validate(data)

    def fleet_status(self) -> dict[str, Any]:
        return dict(next(w for w in reversed(self.writes) if w.key == FLEET).status)

    def condition(self, key: ResourceKey, kind: str) -> dict[str, Any]:
        status = self.stored[key].status  # type: ignore[attr-defined]
        document = status.model_dump(mode="json", by_alias=True)
        return next(each for each in document["conditions"] if each["type"] == kind)


def company() -> list[Resource]:
    return [
        item.model_copy(
            update={"metadata": item.metadata.model_copy(update={"uid": str(item.key)})}
        )
        for item in fleet(budget("day", warnAtPercent=[50]))
    ]


KEY = ResourceKey("Budget", "signalbox-system", "day")


def test_everything_is_written_once_and_then_nothing() -> None:
    operator = Operator(company())
    assert len(operator.settle(operator.report(), (account(),))) == 7
    assert operator.settle(operator.report(), (account(),)) == []


def test_a_new_operator_writes_nothing_where_nothing_changed() -> None:
    first = Operator(company())
    first.settle(first.report(), (account(settled=3_000_000_000),))
    second = Operator(first.stored.values())
    assert second.settle(second.report(), None) == []
    assert second.settle(second.report(), (account(settled=3_000_000_000),)) == []
    assert second.notes == []


def test_only_the_budget_that_moved_is_written() -> None:
    operator = Operator(company())
    operator.settle(operator.report(), (account(),))
    assert operator.settle(operator.report(), (account(settled=2_600_000_000),)) == ["day"]
    assert [note.reason for note in operator.notes] == ["BudgetWarning"]


def test_a_proxy_more_is_written_to_the_fleet_alone() -> None:
    operator = Operator(company())
    report = operator.report()
    operator.settle(report, ())
    assert operator.fleet_status()["proxies"]["summary"] == "2/2"
    newcomer = ProxyFacts("proxy-2", True, 6, "0" * 64)
    grown = replace(report.fleet, proxies=(*report.fleet.proxies, newcomer))
    assert operator.settle(operator.report(fleet=grown)) == []
    assert operator.fleet_status()["proxies"] == {
        "ready": 3,
        "programmed": 2,
        "total": 3,
        "summary": "2/3",
    }


def test_what_proxies_refuse_is_not_programmed_though_an_earlier_form_of_it_was() -> None:
    """A model that an agent names came to exist: another form of the same generation."""
    named = agent("stray", models={"allow": ["mini", "later"]})
    operator = Operator([*company(), named])
    operator.settle(operator.report())
    assert operator.condition(named.key, "Accepted")["status"] == "False"
    assert operator.condition(named.key, "Programmed")["status"] == "True"
    objects = [*operator.stored.values(), model("later")]
    found = compiled(objects)
    head = sealed(found, generation=8)
    refused = ProxyFacts("proxy-0", True, 7, rejection=Rejected("proxy-0", "no", "$.agents"))
    refusing = FleetFacts(8, head.version, (refused,))
    report = told(objects, found, head=head, fleet_facts=refusing)
    operator.settle(report)
    assert operator.condition(named.key, "Accepted")["status"] == "True"
    assert operator.condition(named.key, "Programmed")["reason"] == "Rejected"
    taken = FleetFacts(8, head.version, (ProxyFacts("proxy-0", True, 8),))
    operator.settle(replace(report, fleet=taken))
    assert operator.condition(named.key, "Programmed")["status"] == "True"
    newcomer = replace(taken, proxies=(*taken.proxies, ProxyFacts("proxy-1", True, 7)))
    operator.settle(replace(report, fleet=newcomer))
    assert operator.condition(named.key, "Programmed")["status"] == "True"


def test_another_release_is_written_to_what_it_brought_alone() -> None:
    operator = Operator(company())
    operator.settle(operator.report(), ())
    shop = domain("shop", "retail", parent="retail")
    operator.stored[shop.key] = shop
    objects = list(operator.stored.values())
    found = compiled(objects)
    head = sealed(found, generation=8)
    behind = running(found, ProxyFacts("proxy-0", True, 7))
    facts = FleetFacts(8, head.version, behind.proxies)
    pending = told(objects, found, head=head, fleet_facts=facts)
    assert operator.settle(pending) == ["shop"]
    assert operator.condition(shop.key, "Programmed")["reason"] == "Pending"
    assert operator.condition(KEY, "Programmed")["status"] == "True"
    caught_up = FleetFacts(8, head.version, (ProxyFacts("proxy-0", True, 8),))
    assert operator.settle(replace(pending, fleet=caught_up)) == ["shop"]
    assert operator.condition(shop.key, "Programmed")["status"] == "True"


def test_what_a_pin_withholds_says_so_until_it_serves_again() -> None:
    operator = Operator(company())
    before = compiled(operator.stored.values())
    operator.settle(operator.report(), ())
    raised = written(
        "Budget",
        "day",
        "signalbox-system",
        {"scope": {"all": True}, "limit": {"usd": "9"}, "window": {"every": "day"}},
        uid=str(KEY),
        generation=2,
    )
    operator.stored[KEY] = raised
    objects = list(operator.stored.values())
    found = compiled(objects)
    pinned = sealed(before, generation=9, pin=Pin(generation=7, until=1_777_700_000))
    facts = FleetFacts(9, pinned.version, (ProxyFacts("proxy-0", True, 9),))
    report = told(objects, found, head=pinned, fleet_facts=facts)
    assert operator.settle(report) == ["day"]
    assert operator.condition(KEY, "Programmed")["reason"] == "Pinned"
    assert operator.fleet_status()["pinned"]["generation"] == 7
    again = sealed(found, generation=10)
    still = FleetFacts(10, again.version, (ProxyFacts("proxy-0", True, 9),))
    operator.settle(told(objects, found, head=again, fleet_facts=still))
    assert operator.condition(KEY, "Programmed")["reason"] == "Pending"
    there = FleetFacts(10, again.version, (ProxyFacts("proxy-0", True, 10),))
    operator.settle(told(objects, found, head=again, fleet_facts=there))
    assert operator.condition(KEY, "Programmed")["status"] == "True"


def test_an_object_that_cannot_be_read_is_told_what_is_wrong() -> None:
    operator = Operator(company())
    report = operator.report()
    key = ResourceKey("Agent", "retail", "broken")
    unreadable = Unreadable(key, 3, "1", (), uid="u-9")
    operator.settle(replace(report, unreadable={key: unreadable}))
    (write,) = (write for write in operator.writes if write.key == key)
    assert (write.status["observedGeneration"], write.uid) == (3, "u-9")
    second = Operator(operator.stored.values())
    there = replace(unreadable, status=write.status)
    assert second.settle(replace(second.report(), unreadable={key: there})) == []


def test_the_fleet_is_not_written_before_it_was_read_and_remembers_members() -> None:
    plan = StatusPlan()
    judge = Judge(plan, FLEET)
    judge.take(told(fleet()))
    judge.judge_fleet((), "", NOW, 0.0)
    assert all(write.key != FLEET for write in plan.due(0.0))
    judge.read_fleet(None)
    judge.judge_fleet([FleetMember(name="p", uid="u")], "", NOW, 0.0)
    (write,) = (write for write in plan.due(0.0) if write.key == FLEET)
    assert write.status["members"] == [{"name": "p", "uid": "u"}]


def test_an_old_ledger_is_told_on_the_fleet() -> None:
    plan = StatusPlan()
    judge = Judge(plan, FLEET)
    judge.read_fleet(None)
    judge.take(told(fleet()))
    (note,) = judge.judge_fleet((), "proxy-0: HTTP 503", NOW, 0.0)
    assert note.message == "Numbers of budgets are old: proxy-0: HTTP 503"
    later = NOW + timedelta(seconds=1)
    assert judge.judge_fleet((), "proxy-0: HTTP 503", later, 1.0) == []


def test_facts_of_budgets_that_nobody_wrote_harm_nobody() -> None:
    operator = Operator(company())
    strange = replace(account(), budget="nobody/knows")
    assert len(operator.settle(operator.report(), (account(), strange))) == 7


def crowd(number: int = 300) -> list[Resource]:
    return [
        item.model_copy(
            update={"metadata": item.metadata.model_copy(update={"uid": str(item.key)})}
        )
        for item in fleet(*(budget(f"b{each:03}") for each in range(number)))
    ]


def accounts_of(settled: int, *, of: int = 300, **exhausted: int) -> list[AccountFacts]:
    """Every budget of the crowd has spent so much, those that are named so much more."""
    return [
        replace(account(settled=exhausted.get(name, settled)), budget=f"signalbox-system/{name}")
        for name in (f"b{each:03}" for each in range(of))
    ]


def test_a_budget_that_has_just_been_exhausted_is_judged_before_all_that_moved_with_it() -> None:
    operator = Operator(crowd())
    operator.settle(operator.report(), accounts_of(0))
    operator.judge.hear(accounts_of(1_000_000_000, b299=5_000_000_000))
    operator.judge.judge_some(NOW, operator.now)
    due = operator.plan.due(operator.now)
    assert due[0].key.name == "b299"
    assert due[0].urgency is Urgency.EXHAUSTED


def test_what_was_heard_while_others_are_judged_comes_next_if_it_is_exhausted() -> None:
    operator = Operator(crowd())
    operator.settle(operator.report(), accounts_of(0))
    operator.judge.hear(accounts_of(1_000_000_000))
    operator.judge.judge_some(NOW, operator.now)
    operator.judge.hear(accounts_of(1_000_000_000, b299=5_000_000_000))
    operator.judge.judge_some(NOW, operator.now)
    assert not operator.judge.is_done
    assert operator.plan.due(operator.now)[0].key.name == "b299"


def test_amounts_that_move_with_every_request_are_judged_from_time_to_time() -> None:
    operator = Operator(crowd())
    operator.settle(operator.report(), accounts_of(0))
    judged = 0
    for step in range(1, 41):
        operator.judge.hear(accounts_of(1_000 * step))
        operator.now += 0.1
        operator.judge.judge_fleet((), "", NOW, operator.now)
        while not operator.judge.is_done:
            operator.judge.judge_some(NOW, operator.now)
            judged += 1
    slices = -(-300 // SLICE)
    assert slices <= judged <= 3 * (slices + 1)
    operator.now += NUMBERS_S
    assert operator.plan.due(operator.now), "what moved is written in the end"

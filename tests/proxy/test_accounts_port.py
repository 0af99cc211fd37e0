"""The control port tells how budgets stand, who holds slices, and gives up who is gone."""

import json
import os
import signal
from typing import Any

import aiohttp
import pytest

from signalbox_snapshot.snapshot import Budget, Snapshot
from support.fleet import Fleet, eventually
from support.snapshots import agent, budget, key_of, snapshot, window

DAY = "retail/day"


def accounts(fleet: Fleet, number: int = 0) -> dict[str, dict[str, Any]]:
    code, document = fleet.control(fleet.proxies[number], "GET", "accounts")
    assert code == 200
    return {each["budget"]: each for each in document["budgets"]}


def holders(fleet: Fleet) -> dict[str, dict[str, Any]]:
    code, document = fleet.control(fleet.proxies[0], "GET", "holders")
    assert code == 200
    return {each["holder"]: each for each in document["holders"]}


async def chat(fleet: Fleet, headers: dict[str, str] | None = None) -> int:
    body = {"model": "mini", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key_of('retail/support')}"} | (headers or {})
    url = f"{fleet.proxies[0].url}/v1/chat/completions"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        await answer.read()
        return answer.status


def governed(*budgets: Budget) -> Snapshot:
    """Budgets that all count for retail/support."""
    wealth = budget("wealth/day")
    agents = [
        agent("retail/support", budgets=[each.id for each in budgets]),
        agent("wealth/advisor", budgets=[wealth.id]),
    ]
    return snapshot(agents=agents, budgets=[*budgets, wealth])


def given_up(fleet: Fleet, **order: str) -> int:
    body = json.dumps(order).encode()
    return fleet.control(fleet.proxies[0], "POST", "lost", body)[0]


@pytest.mark.parametrize("path", ["accounts", "holders"])
def test_nothing_of_the_ledger_without_the_token(fleet: Fleet, path: str) -> None:
    assert fleet.control(fleet.proxies[0], "GET", path, token="x" * 32)[0] == 401


def test_nobody_is_given_up_without_the_token(fleet: Fleet) -> None:
    code, _ = fleet.control(fleet.proxies[0], "POST", "lost", token="x" * 32)
    assert code == 401


async def test_what_was_spent_is_told_of_every_budget(fleet: Fleet) -> None:
    fleet.push(snapshot(budgets=[budget(DAY), budget("wealth/day")]))
    assert await chat(fleet) == 200
    told = eventually(lambda: (found := accounts(fleet))[DAY]["settled"] and found)
    assert told.keys() == {DAY, "wealth/day"}
    day = told[DAY]
    assert day["settled"] + day["remaining"] + day["overrun"] == day["limit"]
    assert (day["refused"], day["worst"], day["subjects"]) == (False, [], 0)


async def test_a_refusal_is_told_by_every_proxy_until_something_is_left(fleet: Fleet) -> None:
    fleet.push(snapshot(budgets=[budget(DAY, limit=1), budget("wealth/day")]))
    assert await chat(fleet) == 402
    assert eventually(lambda: accounts(fleet)[DAY]["refused"])
    assert not accounts(fleet)["wealth/day"]["refused"]
    fleet.push(snapshot(budgets=[budget(DAY), budget("wealth/day")]))
    assert eventually(lambda: not accounts(fleet)[DAY]["refused"])


async def test_people_are_told_by_pseudonyms_that_stay(fleet: Fleet) -> None:
    users = budget(DAY, per="user", window=window("month"))
    sessions = budget("retail/sessions", per="session", window=window("month"))
    fleet.push(governed(users, sessions))
    for name in ("alice@bank.example", "bob@bank.example"):
        sent = {"x-signalbox-user": name, "x-signalbox-session": name}
        assert await chat(fleet, sent) == 200
    told = eventually(lambda: (found := accounts(fleet))[DAY]["subjects"] == 2 and found)
    names = [each["subject"] for each in told[DAY]["worst"]]
    assert len(set(names)) == 2
    assert all(name.startswith("user-") and len(name) == 17 for name in names)
    others = {each["subject"].partition("-")[2] for each in told["retail/sessions"]["worst"]}
    assert others.isdisjoint(name.partition("-")[2] for name in names)
    assert "bank" not in str(told)
    assert {each["subject"] for each in accounts(fleet)[DAY]["worst"]} == set(names)


async def test_agents_are_told_by_name(fleet: Fleet) -> None:
    fleet.push(governed(budget(DAY, per="agent", window=window("quarter"))))
    assert await chat(fleet) == 200

    def told() -> list[str]:
        return [each["subject"] for each in accounts(fleet)[DAY]["worst"]]

    eventually(lambda: told() == ["retail/support"])  # once the accounts before it are gone


async def test_who_has_it_already_is_told_nothing(fleet: Fleet) -> None:
    fleet.push(snapshot())
    assert eventually(lambda: accounts(fleet))
    url = f"{fleet.proxies[0].control_url}/control/v1/accounts"
    headers = {"authorization": f"Bearer {fleet.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(url) as first:
            tag = first.headers["ETag"]
        async with http.get(url, headers={"If-None-Match": tag}) as again:
            assert (again.status, await again.read()) == (304, b"")
        fleet.push(governed(budget(DAY, limit=77)))
        eventually(lambda: accounts(fleet)[DAY]["limit"] == 77)
        async with http.get(url, headers={"If-None-Match": tag}) as changed:
            assert changed.status == 200


def test_a_live_proxy_is_not_given_up_and_an_unknown_one_is_told(fleet: Fleet) -> None:
    ((mine, holder),) = holders(fleet).items()
    assert (holder["state"], holder["name"]) == ("live", fleet.proxies[0].name)
    assert given_up(fleet, holder=mine, by="test") == 409
    assert given_up(fleet, holder="nobody", by="test") == 404
    assert given_up(fleet, holder=mine) == 400


async def test_without_the_authority_the_port_says_so_in_time(tmp_path: Any) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.push(snapshot())
        os.kill(fleet.authority.pid, signal.SIGSTOP)
        try:
            code, _ = fleet.control(fleet.proxies[0], "GET", "accounts")
        finally:
            os.kill(fleet.authority.pid, signal.SIGCONT)
        assert code == 503
        assert eventually(lambda: fleet.control(fleet.proxies[0], "GET", "accounts")[0] == 200)

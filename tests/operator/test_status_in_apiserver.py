"""What status, Events and columns say in a real API server while real proxies spend."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from support.apiserver import ApiServer
from support.fleet import Fleet, eventually
from support.operators import PROXY_OPTIONS, OperatorProcess, Platform, everywhere
from support.snapshots import key_of

LIMIT = "0.002"
KINDS_OF_PEOPLE = "agents,budgets,dataassets,domains,models,routepolicies"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, proxies=2, options=PROXY_OPTIONS) as running:
        yield running


@pytest.fixture
def platform(apiserver: ApiServer, namespace: str, fleet: Fleet) -> Platform:
    made = Platform(apiserver, namespace, fleet)
    made.install()
    return made


def ask(platform: Platform, agent: str = "assistant", number: int = 0, **headers: str) -> int:
    proxy = platform.fleet.proxies[number]
    client = OpenAI(
        base_url=f"{proxy.url}/v1",
        api_key=key_of(f"{platform.namespace}/{agent}"),
        max_retries=0,
        default_headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "hello"}], max_tokens=300
        )
    except APIStatusError as error:
        return error.status_code
    return 200


def spend_all(platform: Platform, **headers: str) -> None:
    """Asks until a budget refuses."""
    assert eventually(lambda: ask(platform, **headers) == 402)


def budget(platform: Platform, name: str = "tight", **spec: Any) -> None:
    wanted = {
        "scope": {"all": True},
        "limit": {"usd": LIMIT},
        "window": {"every": "month"},
        "warnAtPercent": [50, 80],
    }
    platform.apply("Budget", name, wanted | spec)


def events(platform: Platform, kind: str, name: str) -> list[dict[str, Any]]:
    found = kubectl(platform, "get", "events", "-o", "json")
    return [
        each
        for each in json.loads(found)["items"]
        if (each["involvedObject"]["kind"], each["involvedObject"]["name"]) == (kind, name)
    ]


def kubectl(platform: Platform, *words: str) -> str:
    return platform.server.kubectl("-n", platform.namespace, *words)


def summary(platform: Platform) -> str:
    """How many proxies run what is released, as the Fleet tells it."""
    proxies = platform.get("Fleet", platform.name).get("status", {}).get("proxies", {})
    return str(proxies.get("summary", ""))


def is_exhausted(platform: Platform, name: str = "tight") -> bool:
    return platform.condition("Budget", name, "Exhausted").get("status") == "True"


def test_a_budget_that_refuses_is_exhausted_and_each_step_is_told_once(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        budget(platform)
        everywhere(platform)
        spend_all(platform)
        assert eventually(lambda: is_exhausted(platform))
        status = platform.get("Budget", "tight")["status"]
        assert (status["unit"], status["limit"]) == ("usd", LIMIT)
        assert status["windowEnd"] > status["windowStart"]
        told = eventually(
            lambda: (found := events(platform, "Budget", "tight")) and len(found) >= 3 and found
        )
        assert sorted(each["reason"] for each in told) == [
            "BudgetExhausted",
            "BudgetWarning",
            "BudgetWarning",
        ]
        names = {each["metadata"]["name"] for each in told}
        # Exhausted is told at once, and what the last holds give back up to half a minute later.
        rest = eventually(
            lambda: (
                found
                if (found := platform.get("Budget", "tight"))["status"]["held"] == "0.00"
                else None
            )
        )
        version = rest["metadata"]["resourceVersion"]
        operator.kill()
        operator.start()
        eventually(operator.is_ready)
        budget(platform, "other")
        eventually(lambda: platform.condition("Budget", "other", "Programmed"))
        assert {each["metadata"]["name"] for each in events(platform, "Budget", "tight")} == names
        assert platform.get("Budget", "tight")["metadata"]["resourceVersion"] == version
        assert is_exhausted(platform)


def test_the_fleet_says_what_runs_and_newcomers_flip_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        everywhere(platform)
        assert eventually(lambda: summary(platform) == "2/2")
        told = platform.get("Fleet", platform.name)["status"]
        assert told["generation"] == platform.generation()
        assert told["fleetId"]
        programmed = eventually(lambda: platform.condition("Budget", "all", "Programmed"))
        assert programmed["status"] == "True"
        flipped = programmed["lastTransitionTime"]
        newcomer = platform.fleet.add_proxy()
        platform.register([newcomer])
        assert eventually(lambda: summary(platform) == "3/3")
        now = platform.condition("Budget", "all", "Programmed")
        assert (now["status"], now["lastTransitionTime"]) == ("True", flipped)


def test_users_are_told_by_pseudonyms_and_one_without_money_is_enough(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        budget(platform, per="user")
        everywhere(platform)
        assert ask(platform, x_signalbox_user="bob@bank.example") == 200
        spend_all(platform, x_signalbox_user="alice@bank.example")
        assert eventually(lambda: is_exhausted(platform))
        told = eventually(
            lambda: (
                (found := platform.get("Budget", "tight")["status"]).get("subjects") == 2 and found
            )
        )
        assert len(told["worst"]) == 2
        assert all(each["name"].startswith("user-") for each in told["worst"])
        assert "bank" not in json.dumps(told)


def test_annotations_of_people_stay_and_nothing_is_written_to_what_rests(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        everywhere(platform)
        eventually(lambda: platform.condition("Budget", "all", "Exhausted").get("status"))
        kubectl(platform, "annotate", "budget", "all", "example.com/mine=yes")
        budget(platform)
        eventually(lambda: platform.condition("Budget", "tight", "Programmed").get("status"))
        found = platform.get("Budget", "all")
        assert found["metadata"]["annotations"]["example.com/mine"] == "yes"
        spend_all(platform)
        eventually(lambda: is_exhausted(platform))
        assert platform.get("Agent", "assistant")["metadata"]["generation"] == 1


def written(platform: Platform) -> dict[str, Any]:
    """The version of every object, which each write moves."""
    listed = json.loads(kubectl(platform, "get", KINDS_OF_PEOPLE, "-o", "json"))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in listed
        if each["metadata"]["name"] != "marker"
    }


def test_an_operator_that_starts_again_writes_nothing_where_nothing_changed(
    platform: Platform, tmp_path: Path
) -> None:
    """It has judged everything and heard the ledger by the time it has told of a newer budget."""
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        eventually(lambda: platform.condition("Budget", "all", "Exhausted").get("status"))
        for kind, name in (("Agent", "assistant"), ("Budget", "all"), ("Model", "small")):
            eventually(
                lambda kind=kind, name=name: (
                    platform.condition(kind, name, "Programmed").get("status") == "True"
                )
            )
        degraded = ("Fleet", platform.name, "Degraded")
        eventually(lambda: platform.condition(*degraded).get("reason") == "AllWell")
        before, well_since = written(platform), platform.condition(*degraded)["lastTransitionTime"]
        assert len(before) == 4
        operator.kill()
        operator.start()
        eventually(operator.is_ready)
        platform.apply("Domain", "marker", {"ownerTeam": "m", "focusAccount": "2"})
        budget(platform, "marker", scope={"domain": "marker"})
        eventually(lambda: platform.condition("Budget", "marker", "Exhausted").get("status"))
        eventually(
            lambda: platform.condition("Budget", "marker", "Programmed").get("status") == "True"
        )
        eventually(lambda: summary(platform) == "2/2")
        assert written(platform) == before
        assert platform.condition(*degraded)["lastTransitionTime"] == well_since


def test_what_fails_closed_when_a_domain_goes_is_told_of_the_agents_that_it_owned(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        everywhere(platform)
        eventually(lambda: platform.condition("Agent", "assistant", "Accepted").get("status"))
        platform.delete("Domain", "retail")
        told = eventually(lambda: events(platform, "Agent", "assistant"))
        assert [each["reason"] for each in told] == ["FailedClosed"]
        assert "does not exist" in told[0]["message"]


def test_columns_answer_at_a_glance(platform: Platform, tmp_path: Path) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        budget(platform)
        everywhere(platform)
        spend_all(platform)
        eventually(lambda: is_exhausted(platform))
        table = kubectl(platform, "get", "budgets")
        print(table)
        heading, *rows = table.splitlines()
        for title in ("LIMIT", "SPENT", "REMAINING", "USED%", "RESETS", "EXHAUSTED", "REASON"):
            assert title in heading.split()
        (tight,) = (row for row in rows if row.startswith("tight"))
        assert "True" in tight.split()
        fleet = kubectl(platform, "get", "fleets")
        print(fleet)
        assert "2/2" in fleet

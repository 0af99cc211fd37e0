"""From `helm install` to `helm uninstall`: one proxy with SQLite, every lane simulated.

The tests of this file are one story and run in this order.
"""

import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from support.real_cluster import PLATFORM, RELEASE, Cluster, eventually

MODEL = "gpt-5.4-mini"
ROUNDS = int(os.environ.get("SIGNALBOX_EXHAUSTION_ROUNDS", "5"))
INSIDE = f"http://{RELEASE}.{PLATFORM}.svc"


@dataclass(frozen=True)
class Company:
    """The quickstart's company in the cluster, and a key of its assistant."""

    cluster: Cluster
    key: str
    values: dict[str, Any]


@pytest.fixture(scope="module")
def company(
    empty_cluster: Cluster,
    packed: dict[str, Path],
    quickstart: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Company:
    folder = tmp_path_factory.mktemp("values")
    values = empty_cluster.values(simulate=True, proxy={"unreadySeconds": 3, "drainSeconds": 30})
    empty_cluster.install(packed["signalbox-crds"], "signalbox-crds", {}, folder)
    empty_cluster.install(packed["signalbox"], RELEASE, values, folder)
    empty_cluster.kubectl("apply", "-f", str(quickstart))
    key = empty_cluster.new_key("retail", "assistant")
    empty_cluster.kubectl(
        *("wait", "--for=condition=Programmed", "agent/assistant", "-n", "retail"),
        "--timeout=300s",
    )
    return Company(empty_cluster, key, values)


def _client(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)


def _ask(client: openai.OpenAI, text: str = "Say hello.") -> str:
    answer = client.chat.completions.create(
        model=MODEL, max_completion_tokens=256, messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content or ""


def _served(client: openai.OpenAI) -> str:
    """An answer, as soon as the key is known to the proxy."""

    def ask() -> str:
        try:
            return _ask(client)
        except openai.AuthenticationError:
            return ""

    return str(eventually(ask, 60, "the key is known"))


def test_every_object_of_the_quickstart_is_accepted_and_programmed(company: Company) -> None:
    for kind in ("models", "domains", "agents", "budgets", "routepolicies", "dataassets"):
        company.cluster.kubectl(
            *("wait", "--for=condition=Accepted", kind, "--all", "-A", "--timeout=120s")
        )
        company.cluster.kubectl(
            *("wait", "--for=condition=Programmed", kind, "--all", "-A", "--timeout=120s")
        )


def test_an_sdk_outside_of_the_cluster_is_answered(company: Company) -> None:
    with (
        company.cluster.port_forward(f"service/{RELEASE}", 80) as url,
        _client(url, company.key) as client,
    ):
        assert _served(client)


def test_an_sdk_in_a_pod_is_answered_by_the_name_of_the_service(company: Company) -> None:
    environment = {"BASE_URL": f"{INSIDE}/v1", "KEY": company.key, "MODEL": MODEL}
    company.cluster.start_client("application", "retail", environment, "--calls", "3")
    assert company.cluster.client_said("application", "retail")["done"] == 3


def test_helm_test_passes(company: Company) -> None:
    said = company.cluster.helm("test", RELEASE, "--namespace", PLATFORM, "--timeout", "300s")
    assert "Phase:          Succeeded" in said


def test_the_runbooks_commands_reach_the_ledger_in_a_pod(company: Company) -> None:
    pod = ("-n", PLATFORM, "exec", f"svc/{RELEASE}", "-c", "ledger", "--")
    assert "flow" in company.cluster.kubectl(*pod, "signalbox", "ledger", "status")
    assert "retail/assistant" in company.cluster.kubectl(*pod, "signalbox", "runs")
    assert "live" in company.cluster.kubectl(*pod, "signalbox", "proxies")


def _agent_with_a_budget(company: Company, name: str) -> str:
    """An agent of retail that has a cent of its own for a day; its key."""
    meta = {"name": name, "namespace": "retail"}
    common = {"apiVersion": "signalbox.dev/v1alpha1", "metadata": meta}
    agent = {"domain": "retail", "defaults": {"workload": "support"}, "maxSensitivity": "internal"}
    budget = {"scope": {"agent": name}, "limit": {"usd": "0.002"}, "window": {"every": "day"}}
    company.cluster.apply(
        common | {"kind": "Agent", "spec": agent | {"models": {"allow": [MODEL]}}},
        common | {"kind": "Budget", "spec": budget},
    )
    return company.cluster.new_key("retail", name)


def test_who_waits_for_exhaustion_hears_of_it_within_seconds_of_the_refusal(
    company: Company,
) -> None:
    delays = []
    with company.cluster.port_forward(f"service/{RELEASE}", 80) as url:
        for number in range(ROUNDS):
            name = f"spender-{number}"
            with _client(url, _agent_with_a_budget(company, name)) as client:
                _served(client)
                delays.append(_delay(client, name))
    print(f"refusal to `kubectl wait` returning, seconds: {sorted(delays)}")
    assert statistics.median(delays) <= 2.0, delays


def _until_refused(client: openai.OpenAI) -> openai.APIStatusError:
    for _ in range(1000):
        try:
            _ask(client)
        except openai.APIStatusError as refused:
            return refused
    raise AssertionError("a thousand calls, and none was refused")


def _delay(client: openai.OpenAI, name: str) -> float:
    """Seconds from the first refusal to the return of a `kubectl wait` that was there before."""
    waiting = subprocess.Popen(
        [
            *("kubectl", "wait", "--for=condition=Exhausted", f"budget/{name}", "-n", "retail"),
            "--timeout=120s",
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        refused = _until_refused(client)
        refusal = time.monotonic()
        assert refused.status_code == 402
        assert refused.code == "budget_exhausted"
        assert waiting.wait(120) == 0
        return round(time.monotonic() - refusal, 2)
    finally:
        waiting.kill()
        waiting.wait()


def test_a_bad_object_is_refused_with_what_to_write_instead(company: Company) -> None:
    said = company.cluster.kubectl(
        *("patch", "budget", "assistant", "-n", "retail", "--type=merge"),
        *("--patch", '{"spec": {"window": {"every": "month", "count": 1}}}'),
        code=1,
    )
    assert "window cannot be changed, as the account would change its meaning" in said


def test_an_upgrade_keeps_the_secrets_and_what_was_spent(
    company: Company, packed: dict[str, Path], tmp_path: Path
) -> None:
    def secrets() -> dict[str, Any]:
        names = ("signer", "control", "trust", "tokens")
        return {name: company.cluster.get("secret", f"{RELEASE}-{name}")["data"] for name in names}

    before = secrets()
    values = company.values | {"proxy": {"unreadySeconds": 2, "drainSeconds": 20}}
    company.cluster.install(packed["signalbox"], RELEASE, values, tmp_path)
    company.cluster.kubectl(
        *("rollout", "status", f"statefulset/{RELEASE}-proxy", "-n", PLATFORM, "--timeout=300s")
    )
    assert secrets() == before
    with (
        company.cluster.port_forward(f"service/{RELEASE}", 80) as url,
        _client(url, company.key) as client,
    ):
        assert _served(client)
    spent = company.cluster.get("budget", "spender-0", "retail")["status"]
    assert any(
        each["type"] == "Exhausted" and each["status"] == "True" for each in spent["conditions"]
    )


def _pods(company: Company) -> list[str]:
    found = [each["metadata"]["name"] for each in company.cluster.get("pods")["items"]]
    return [name for name in found if name.startswith(RELEASE)]


def test_uninstalling_leaves_what_it_says_and_nothing_else(company: Company) -> None:
    company.cluster.helm("uninstall", RELEASE, "-n", PLATFORM, "--wait", "--timeout", "300s")
    kinds = "deployments,statefulsets,services,serviceaccounts,roles,rolebindings,networkpolicies"
    left = company.cluster.kubectl("get", kinds, "-n", PLATFORM, "-o", "name").split()
    assert [name for name in left if "signalbox" in name] == []
    eventually(lambda: not _pods(company), 120, "the last pod is gone")
    cluster_wide = "clusterroles,clusterrolebindings,validatingwebhookconfigurations"
    left = company.cluster.kubectl("get", cluster_wide, "-o", "name").split()
    assert [name for name in left if "signalbox" in name] == []
    secrets = {item["metadata"]["name"] for item in company.cluster.get("secret")["items"]}
    kept = {f"{RELEASE}-{name}" for name in ("signer", "control", "trust", "tokens", "webhook")}
    assert kept <= secrets
    assert company.cluster.get("budget", "assistant", "retail")["spec"]["limit"]

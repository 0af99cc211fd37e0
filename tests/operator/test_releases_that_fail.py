"""A control plane that cannot release says so everywhere: Fleet, Event, readiness, metrics.

What is in the way is real: an API server that refuses its ConfigMaps, as a quota, a policy or a
full store does.
"""

import urllib.request
from pathlib import Path

from support.fleet import eventually
from support.operators import OperatorProcess, Platform, everywhere

WRITTEN = ["agents", "budgets", "dataassets", "domains", "models", "routepolicies"]
EVERYWHERE = [
    *WRITTEN,
    "fleets",
    *(f"{each}/status" for each in WRITTEN),
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]


def grant(platform: Platform, *verbs: str) -> Path:
    """An operator's rights, of ConfigMaps with these verbs; its kubeconfig."""
    rules = [
        "fleets",
        "fleets/status",
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)},
    ]
    account = platform.server.account(
        platform.namespace, "operator", rules, cluster_rules=EVERYWHERE
    )
    return account.kubeconfig


def metric(operator: OperatorProcess, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))


def degraded(platform: Platform) -> tuple[str, str, str]:
    told = platform.condition("Fleet", platform.name, "Degraded")
    return told.get("status", ""), told.get("reason", ""), told.get("message", "")


def set_limit(platform: Platform, usd: int) -> None:
    spec = {"scope": {"all": True}, "limit": {"usd": str(usd)}, "window": {"every": "day"}}
    platform.apply("Budget", "all", spec)


def test_a_release_that_the_api_server_refuses_is_told_everywhere_until_it_is_taken(
    platform: Platform, tmp_path: Path
) -> None:
    kubeconfig = grant(platform, "*")
    with OperatorProcess(platform, tmp_path, kubeconfig=kubeconfig) as operator:
        platform.company()
        before = everywhere(platform)
        eventually(lambda: degraded(platform)[:2] == ("False", "AllWell"))
        grant(platform, "get", "list")
        set_limit(platform, 50)
        eventually(lambda: degraded(platform)[:2] == ("True", "NotReleased"))
        message = degraded(platform)[2]
        assert "configmaps" in message
        assert "(HTTP 403)" in message
        assert "Mend what is named" in message
        eventually(
            lambda: platform.condition("Budget", "all", "Programmed").get("reason") == "NotReleased"
        )
        eventually(lambda: "passes failed one after the other" in operator.readiness())
        assert metric(operator, "signalbox_operator_ready") == 0
        assert metric(operator, "signalbox_operator_failed_passes_total") >= 5
        events = platform.kube.get("Event", platform.namespace)["items"]
        assert [each["message"] for each in events if each["reason"] == "Degraded"][-1:] == [
            message[:1024]
        ]
        assert platform.generation() == before
        grant(platform, "*")
        eventually(lambda: degraded(platform)[:2] == ("False", "AllWell"))
        eventually(operator.is_ready)
        assert everywhere(platform) > before
        assert metric(operator, "signalbox_operator_ready") == 1

"""Two tenants with real tokens: the rights that a team gets in its namespace reach nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from support.apiserver import Account, ApiServer
from support.kube_client import KubeError

KINDS = ["agents", "budgets", "dataassets", "domains", "models", "routepolicies"]


def written(kind: str, namespace: str, spec: dict[str, Any], name: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


BUDGET = {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}}
AGENT = {"domain": "d", "maxSensitivity": "internal"}


@pytest.fixture
def tenants(apiserver: ApiServer, namespace: str) -> tuple[Account, str]:
    """A tenant with every right of its own, and the namespace of another with a Secret in it."""
    account = apiserver.account(namespace, "deployer", KINDS)
    with apiserver.namespace() as other:
        metadata = {"name": "signalbox-signer", "namespace": other}
        apiserver.admin.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        apiserver.admin.apply(written("Budget", other, BUDGET))
        return account, other


REACHES: dict[str, Callable[[Any, str], Any]] = {
    "reads its Secret": lambda kube, other: kube.get("Secret", other, "signalbox-signer"),
    "reads its budget": lambda kube, other: kube.get("Budget", other, "x"),
    "makes an agent there": lambda kube, other: kube.apply(written("Agent", other, AGENT)),
    "changes its budget": lambda kube, other: kube.apply(written("Budget", other, BUDGET)),
    "deletes its budget": lambda kube, other: kube.delete("Budget", other, "x"),
    "pins its fleet": lambda kube, other: kube.patch(
        "Fleet", other, "signalbox", {"metadata": {"annotations": {"signalbox.dev/rollback": "1"}}}
    ),
    "gets its token": lambda kube, other: kube.call(
        "POST", f"/api/v1/namespaces/{other}/serviceaccounts/runner/token", {}
    ),
    "writes what it spent": lambda kube, other: kube.patch_status("Budget", other, "x", {}),
}


@pytest.mark.parametrize("what", REACHES)
def test_a_tenants_token_reaches_nothing_of_another(
    tenants: tuple[Account, str], what: str
) -> None:
    account, other = tenants
    account.kube.apply(written("Budget", account.namespace, BUDGET))
    with pytest.raises(KubeError) as refused:
        REACHES[what](account.kube, other)
    assert refused.value.status == 403


def test_a_tenant_cannot_write_the_status_of_its_own_objects(
    tenants: tuple[Account, str],
) -> None:
    """What a budget has left is the operator's to say."""
    account, _ = tenants
    account.kube.apply(written("Budget", account.namespace, BUDGET))
    with pytest.raises(KubeError) as refused:
        account.kube.patch_status("Budget", account.namespace, "x", {"conditions": []})
    assert refused.value.status == 403

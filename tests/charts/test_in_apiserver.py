"""The charts in a real API server: install, upgrade, uninstall, rights, Pod Security.

No node runs what is installed: what the operator writes is written here, or by an operator process
that has exactly the chart's rights.
"""

import base64
import copy
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import ApiServer
from support.charts import (
    BUNDLED,
    CHART,
    COMBINATIONS,
    CRDS_CHART,
    FLEET,
    NAMESPACE,
    RELEASE,
    Objects,
    Values,
    helm,
    program,
)
from support.kube_client import Kube, KubeError, path_for

GOLDEN = Path(__file__).parent / "golden"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-operator"
FILLED = {"signer": "signing-keys.pem", "tokens": "control-tokens", "webhook": "tls.key"}


class Bare(ApiServer):
    """An API server that does not know the definitions: the chart brings them."""

    def install_crds(self, folder: Path = CRDS_CHART) -> None:
        """Nothing yet."""

    def helm(self, *arguments: str | Path, values: Values | None = None) -> str:
        """What helm prints when it is content."""
        ran = helm(*arguments, values=values, kubeconfig=self.kubeconfig)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def upgrade(self, values: Values, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
        """`helm upgrade --install` of the chart, as pipelines do it. Helm would take empty values
        for those of the last time."""
        command = ("upgrade", "--install", release, CHART, "--namespace", namespace)
        return self.helm(*command, "--reset-values", values=values)

    def uninstall(self, namespace: str = NAMESPACE) -> str:
        return self.helm("uninstall", RELEASE, "--namespace", namespace)

    def make_namespace(self, name: str, level: str = "restricted") -> None:
        labels = {"pod-security.kubernetes.io/enforce": level}
        metadata = {"name": name, "labels": labels}
        self.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """With the definitions, installed by their chart, and after what is told without them."""
    with Bare(tmp_path_factory.mktemp("charts")) as running:
        running.make_namespace(NAMESPACE)
        refused = helm(
            *("install", RELEASE, CHART, "--namespace", NAMESPACE), kubeconfig=running.kubeconfig
        )
        assert refused.returncode != 0
        assert "Install or upgrade the definitions first" in refused.stderr
        running.helm("install", "signalbox-crds", CRDS_CHART, "--namespace", NAMESPACE)
        running.admin.wait(lambda kube: kube.call("GET", "/apis/signalbox.dev/v1alpha1/fleets"))
        yield running


@pytest.fixture
def installed(server: Bare) -> Iterator[Bare]:
    """One release in the platform's namespace, and nothing of it afterwards."""
    server.upgrade({})
    yield server
    helm("uninstall", RELEASE, "--namespace", NAMESPACE, kubeconfig=server.kubeconfig)
    label = f"app.kubernetes.io/instance={RELEASE}"
    server.kubectl("delete", "secret", "--namespace", NAMESPACE, "--selector", label)


def _fill(kube: Kube) -> None:
    """What the operator does first: keys into the Secrets, its authority into the webhook."""
    for name, key in FILLED.items():
        data = {key: base64.b64encode(f"of {name}".encode()).decode()}
        kube.patch("Secret", NAMESPACE, f"{RELEASE}-{name}", {"data": data})
    name = f"{RELEASE}-webhook"
    webhook = kube.get("ValidatingWebhookConfiguration", "", name)["webhooks"]
    webhook[0]["clientConfig"]["caBundle"] = base64.b64encode(b"an authority").decode()
    kube.patch("ValidatingWebhookConfiguration", "", name, {"webhooks": webhook})


def _filled(kube: Kube) -> dict[str, Any]:
    return {name: kube.get("Secret", NAMESPACE, f"{RELEASE}-{name}").get("data") for name in FILLED}


def _bundle(kube: Kube) -> str | None:
    webhook = kube.get("ValidatingWebhookConfiguration", "", f"{RELEASE}-webhook")
    bundle: str | None = webhook["webhooks"][0]["clientConfig"].get("caBundle")
    return bundle


def test_what_the_operator_filled_outlives_upgrades(installed: Bare) -> None:
    kube = installed.admin
    assert _filled(kube) == dict.fromkeys(FILLED)
    _fill(kube)
    before, bundle = _filled(kube), _bundle(kube)
    assert all(before.values())
    assert bundle
    for values in ({"proxy": {"drainSeconds": 60}}, {"image": {"tag": "next"}}, FLEET, {}):
        installed.upgrade(values)
        assert _filled(kube) == before
        assert _bundle(kube) == bundle


def test_a_release_becomes_a_fleet_and_goes_on_with_the_same_services(installed: Bare) -> None:
    kube = installed.admin
    address = kube.get("Service", NAMESPACE, RELEASE)["spec"]["clusterIP"]
    installed.upgrade({**BUNDLED, "simulate": True})
    assert kube.get("Deployment", NAMESPACE, f"{RELEASE}-proxy")
    with pytest.raises(KubeError, match="NotFound"):
        kube.get("StatefulSet", NAMESPACE, f"{RELEASE}-proxy")
    installed.upgrade({})
    assert kube.get("StatefulSet", NAMESPACE, f"{RELEASE}-proxy")
    assert kube.get("Service", NAMESPACE, RELEASE)["spec"]["clusterIP"] == address


def test_an_upgrade_of_the_definitions_changes_them_and_deleting_their_release_keeps_them(
    server: Bare,
) -> None:
    kube = server.admin
    name = "budgets.signalbox.dev"
    older = kube.get("CustomResourceDefinition", "", name)
    del older["spec"]["versions"][0]["additionalPrinterColumns"]
    kube.replace(older)
    server.helm("upgrade", "signalbox-crds", CRDS_CHART, "--namespace", NAMESPACE)
    server.helm("uninstall", "signalbox-crds", "--namespace", NAMESPACE)
    assert kube.get("CustomResourceDefinition", "", name)["spec"]["versions"][0]["served"]
    server.helm("install", "signalbox-crds", CRDS_CHART, "--namespace", NAMESPACE)
    newer = kube.get("CustomResourceDefinition", "", name)
    assert newer["spec"]["versions"][0]["additionalPrinterColumns"]


def test_deleting_the_release_leaves_what_it_says_it_leaves_and_it_comes_back_as_it_was(
    installed: Bare,
) -> None:
    kube = installed.admin
    _fill(kube)
    before = _filled(kube)
    made = {
        path_for({**one, "metadata": {"namespace": NAMESPACE, **one["metadata"]}})
        for one in Objects.of().items
        if one["kind"] not in {"NetworkPolicy", "PodDisruptionBudget"}
    }
    _pass_helm_test(installed)
    installed.uninstall()
    left = {path.rpartition("/")[2] for path in made if _is_there(kube, path)}
    kept = {f"{RELEASE}-{name}" for name in ("signer", "control", "trust", "tokens", "webhook")}
    assert left == {*kept, f"{RELEASE}-credentials"}
    notes = installed.upgrade({})
    assert all(name in notes for name in left), "the notes tell"
    assert _filled(kube) == before


def _pass_helm_test(server: Bare) -> None:
    """`helm test`, with the pod's end as a node would tell it."""
    command = [program("helm"), "test", RELEASE, "--namespace", NAMESPACE]
    environment = {"KUBECONFIG": str(server.kubeconfig), "HOME": str(server.kubeconfig.parent)}
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True
    ) as process:
        name = f"{RELEASE}-test"
        server.admin.wait(lambda kube: kube.get("Pod", NAMESPACE, name))
        server.admin.patch_status("Pod", NAMESPACE, name, {"phase": "Succeeded"})
        said, _ = process.communicate(timeout=300)
    assert "Succeeded" in said


def _is_there(kube: Kube, path: str) -> bool:
    try:
        kube.call("GET", path)
    except KubeError as error:
        if error.status != 404:
            raise
        return False
    return True


def test_keys_of_providers_come_by_the_command_of_the_notes_and_outlive_upgrades(
    installed: Bare, tmp_path: Path
) -> None:
    key, name = tmp_path / "key", f"{RELEASE}-credentials"
    key.write_text("sk-made-up")
    text = installed.kubectl(
        *("create", "secret", "generic", name, f"--from-file=openai={key}"),
        *("--namespace", NAMESPACE, "--dry-run=client", "-o", "yaml"),
    )
    installed.kubectl("apply", "--server-side", "-f", "-", text=text)
    installed.upgrade({"image": {"tag": "next"}})
    secret = installed.admin.get("Secret", NAMESPACE, name)
    assert base64.b64decode(secret["data"]["openai"]) == b"sk-made-up"
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_second_release_in_the_cluster_is_refused_by_name(installed: Bare) -> None:
    installed.make_namespace("other")
    ran = helm("install", "another", CHART, "--namespace", "other", kubeconfig=installed.kubeconfig)
    assert ran.returncode != 0
    assert "signalbox-edit" in ran.stderr or "signalbox-view" in ran.stderr


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_the_api_server_admits_every_pod_to_a_namespace_that_enforces_restricted(
    server: Bare, values: Values
) -> None:
    for name, pod in Objects.of(values).pods().items():
        _create_pod(server.admin, name, pod)


def test_a_pod_with_more_rights_would_not_be_admitted(server: Bare) -> None:
    """So that the test above means something."""
    pod = copy.deepcopy(Objects.of().pods()[f"{RELEASE}-proxy"])
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(KubeError, match="restricted"):
        _create_pod(server.admin, "proxy", pod)


def _create_pod(kube: Kube, name: str, pod: dict[str, Any]) -> None:
    """Asks the API server to admit a pod, without storing it."""
    metadata = {**pod["metadata"], "name": name, "namespace": NAMESPACE}
    body = {**pod, "metadata": metadata}
    kube.call(
        "POST", f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict", body
    )


def _rights(server: Bare, namespace: str) -> str:
    """What `kubectl auth can-i --list` says the operator may, without what everybody may."""
    text = server.kubectl("auth", "can-i", "--list", "--as", OPERATOR, "--namespace", namespace)
    nobody = "system:serviceaccount:nowhere:nobody"
    everybody = server.kubectl("auth", "can-i", "--list", "--as", nobody, "-n", namespace)
    common = set(_lines(everybody))
    return "\n".join([text.splitlines()[0], *(one for one in _lines(text) if one not in common)])


def _lines(text: str) -> list[str]:
    return sorted(re.sub(r" {2,}", "   ", line.rstrip()) for line in text.splitlines()[1:])


@pytest.mark.parametrize(("place", "namespace"), [("platform", NAMESPACE), ("tenant", "default")])
def test_the_operator_may_do_what_the_golden_list_says_and_no_more(
    installed: Bare, place: str, namespace: str
) -> None:
    golden = GOLDEN / f"operator-in-{place}-namespace.txt"
    told = re.sub(r" {2,}", "   ", _rights(installed, namespace)) + "\n"
    assert told == golden.read_text(), f"where this is meant, write to {golden.name}:\n{told}"


def test_no_rule_has_a_wildcard_or_makes_more_of_itself() -> None:
    for values in COMBINATIONS.values():
        objects = Objects.of(values)
        for one in [*objects.kind("ClusterRole"), *objects.kind("Role")]:
            for rule in one["rules"]:
                assert "*" not in [*rule["verbs"], *rule["apiGroups"], *rule["resources"]]
                assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
                if "secrets" in rule["resources"]:
                    assert one["kind"] == "Role"
                    assert rule["resourceNames"]
                    assert set(rule["verbs"]) <= {"get", "update", "patch"}
                if "pods" in rule["resources"]:
                    assert "create" not in rule["verbs"]


def _bind(server: Bare, namespace: str, roles: list[str]) -> Kube:
    """Somebody who has these ClusterRoles in one namespace."""
    server.make_namespace(namespace, "baseline")
    person = server.account(namespace, "person")
    group = "rbac.authorization.k8s.io"
    for role in roles:
        server.admin.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role, "namespace": namespace},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": "person", "namespace": namespace}],
            }
        )
    return person.kube


def _object(kind: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "mine", "namespace": namespace}
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def test_a_tenant_writes_what_narrows_in_its_own_namespace_and_nothing_else(
    installed: Bare,
) -> None:
    tenant = _bind(installed, "wealth", ["signalbox-view", "signalbox-edit"])
    agent = {"domain": "wealth", "maxSensitivity": "internal"}
    budget = {"scope": {"all": True}, "limit": {"usd": "5"}, "window": {"every": "day"}}
    domain = {"ownerTeam": "wealth", "focusAccount": "1"}
    for kind, spec in (("Agent", agent), ("Budget", budget)):
        tenant.apply(_object(kind, "wealth", spec))
        assert tenant.get(kind, "wealth", "mine")
        with pytest.raises(KubeError, match="Forbidden"):
            tenant.apply(_object(kind, NAMESPACE, spec))
        with pytest.raises(KubeError, match="Forbidden"):
            tenant.patch_status(kind, "wealth", "mine", {"conditions": []})
    with pytest.raises(KubeError, match="Forbidden"):
        tenant.apply(_object("Domain", "wealth", domain))
    for kind in ("Secret", "ConfigMap", "Fleet", "Budget"):
        with pytest.raises(KubeError, match="Forbidden"):
            tenant.get(kind, NAMESPACE)
    platform = _bind(installed, "wealth", ["signalbox-platform"])
    platform.apply(_object("Domain", "wealth", domain))


def test_kubectl_shows_why_something_is_not_programmed(server: Bare) -> None:
    kube = server.admin
    kube.apply(_object("Agent", NAMESPACE, {"domain": "shop", "maxSensitivity": "internal"}))
    told = ("2026-11-21T11:00:00Z", 1)
    names = ("type", "status", "reason", "message", "lastTransitionTime", "observedGeneration")

    def shown(*found: tuple[str, str, str, str], wide: bool = True) -> str:
        conditions = [dict(zip(names, (*each, *told), strict=True)) for each in found]
        kube.patch_status("Agent", NAMESPACE, "mine", {"conditions": conditions})
        output = ("--output", "wide") if wide else ()
        return server.kubectl("get", "agent", "mine", "--namespace", NAMESPACE, *output)

    fine = ("Accepted", "True", "Accepted", "In force as written.")
    pinned = ("Programmed", "False", "Pinned", "Generation 3 serves.")
    broken = ("Accepted", "False", "Invalid", "spec.domain: nothing.")
    waits = ("Programmed", "False", "NotAccepted", "No form of it is in force.")
    well = ("Programmed", "True", "Programmed", "Everybody runs it.")
    assert re.search(r"True +False +Pinned +\S+\s*$", shown(fine, pinned, wide=False))
    assert "Generation 3 serves." in shown(fine, pinned)
    assert re.search(r"False +False +Invalid +spec.domain: nothing.", shown(broken, waits))
    assert re.search(r"True +True +In force as written.", shown(fine, well)), "nothing to explain"
    kube.delete("Agent", NAMESPACE, "mine")


def test_the_roles_add_to_those_of_kubernetes_and_unasked_they_add_no_more_than_a_look(
    installed: Bare,
) -> None:
    everybody = {"view", "edit", "admin"}
    assert _added_to(installed) == {"view": everybody, "edit": set(), "platform": set()}
    verbs = {
        verb
        for rule in installed.admin.get("ClusterRole", "", "signalbox-view")["rules"]
        for verb in rule["verbs"]
    }
    assert verbs == {"get", "list", "watch"}
    installed.upgrade({"rbac": {"aggregateToEdit": True}})
    assert _added_to(installed)["edit"] == {"edit", "admin"}


def _added_to(server: Bare) -> dict[str, set[str]]:
    """Of each role of the chart, the roles of Kubernetes that have its rules too."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    found = {}
    for name in ("view", "edit", "platform"):
        labels = server.admin.get("ClusterRole", "", f"signalbox-{name}")["metadata"]["labels"]
        found[name] = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    return found

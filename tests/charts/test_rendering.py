"""What the chart renders: the processes, their flags, Secrets, networks and rights."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from signalbox_api.load import read_text
from signalbox_operator.cluster.trust_keeper import SECRETS
from signalbox_proxy.settings import read_settings
from support.charts import (
    BUNDLED,
    COMBINATIONS,
    FLEET,
    MONITORED,
    NAMESPACE,
    RELEASE,
    Objects,
    Values,
    notes,
    rendered,
)
from support.running import ROOT

EVERY = [pytest.param(values, id=name) for name, values in COMBINATIONS.items()]


def _container(spec: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [
        one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == name
    ]
    return found  # type: ignore[no-any-return]


def _mounts(spec: dict[str, Any], container: str) -> dict[str, str]:
    """Where a container mounts which volume."""
    mounts = _container(spec, container)["volumeMounts"]
    return {one["mountPath"]: one["name"] for one in mounts}


def _volume(spec: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in spec["volumes"] if one["name"] == name]
    return found  # type: ignore[no-any-return]


def test_one_proxy_keeps_its_ledger_in_sqlite_on_a_volume() -> None:
    objects = Objects.of()
    (proxy,) = objects.kind("StatefulSet")
    assert proxy["spec"]["replicas"] == 1
    (claim,) = proxy["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "state"
    spec = objects.proxy_pod()
    assert "--db=/var/lib/signalbox/ledger.db" in _container(spec, "ledger")["args"]
    for container in ("ledger", "proxy"):
        assert _mounts(spec, container)["/var/lib/signalbox"] == "state"
        assert _mounts(spec, container)["/run/signalbox"] == "run"
    assert not objects.kind("HorizontalPodAutoscaler")
    assert not objects.kind("PodDisruptionBudget"), "nodes with the only proxy could not be drained"


def test_a_fleet_shares_postgresql_and_scales_and_survives_drained_nodes() -> None:
    objects = Objects.of(FLEET)
    proxy = objects.get("Deployment", f"{RELEASE}-proxy")
    assert "replicas" not in proxy["spec"], "the autoscaler decides"
    assert proxy["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert not objects.kind("StatefulSet")
    (scaler,) = objects.kind("HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == f"{RELEASE}-proxy"
    (budget,) = objects.kind("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    spec = objects.proxy_pod()
    assert {one["topologyKey"] for one in spec["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    ledger = _container(spec, "ledger")
    assert "--postgresql" in ledger["args"]
    assert "/var/lib/signalbox" not in _mounts(spec, "ledger")
    assert _volume(spec, "state")["emptyDir"] == {}


@pytest.mark.parametrize("values", [FLEET, COMBINATIONS["fleet by a DSN"], BUNDLED])
def test_the_dsn_reaches_the_ledgers_container_alone_and_stands_in_no_pod(values: Values) -> None:
    objects = Objects.of(values)
    spec = objects.proxy_pod()
    variables = {one["name"]: one for one in _container(spec, "ledger")["env"]}
    assert set(variables["SIGNALBOX_LEDGER_DSN"]["valueFrom"]) == {"secretKeyRef"}
    assert "SIGNALBOX_LEDGER_DSN" not in str(_container(spec, "proxy")["env"])
    for pod in objects.pods().values():
        assert "postgresql://" not in str(pod)


def test_the_password_of_the_bundled_database_may_hold_any_character() -> None:
    secret = Objects.of(BUNDLED).get("Secret", f"{RELEASE}-database")
    dsn = base64.b64decode(secret["data"]["dsn"]).decode()
    host = f"{RELEASE}-postgresql.{NAMESPACE}.svc:5432"
    assert dsn == f"postgresql://signalbox:for%20a%20trial%2F%2B@{host}/signalbox"


def test_a_verified_database_is_told_by_files_that_the_ledger_alone_mounts() -> None:
    spec = Objects.of(COMBINATIONS["fleet with TLS"]).proxy_pod()
    variables = {one["name"]: one.get("value") for one in _container(spec, "ledger")["env"]}
    assert variables["PGSSLMODE"] == "verify-full"
    assert variables["PGSSLROOTCERT"] == "/etc/signalbox/database/ca.crt"
    assert _mounts(spec, "ledger")["/etc/signalbox/database"] == "database"
    assert "database" not in _mounts(spec, "proxy").values()
    dsn = next(one for one in _container(spec, "ledger")["env"] if "DSN" in one["name"])
    assert dsn["valueFrom"]["secretKeyRef"] == {"name": "fleet-database", "key": "uri"}


@pytest.mark.parametrize("values", [{}, FLEET, {"simulate": True}], ids=str)
def test_the_proxy_takes_every_flag_that_the_chart_gives_it(values: Values) -> None:
    spec = Objects.of(values).proxy_pod()
    container = _container(spec, "proxy")
    assert container["command"] == ["python", "-m", "signalbox_proxy"]
    settings = read_settings(container["args"], {})
    mounted = _mounts(spec, "proxy")
    assert str(settings.state) in mounted
    assert str(settings.credentials) in mounted
    assert str(settings.trust.parent) in mounted
    assert str(settings.control_token.parent) in mounted
    assert str(settings.authority.parent) in mounted
    assert (settings.port, settings.control_port, settings.metrics_port) == (8080, 8081, 9090)
    assert settings.fleet == RELEASE


@pytest.mark.parametrize("values", EVERY)
def test_the_ledger_runs_beside_the_proxy_before_it_and_until_after_it(values: Values) -> None:
    """A container of the first phase that never ends: Kubernetes stops it last."""
    spec = Objects.of(values).proxy_pod()
    (ledger,) = spec["initContainers"]
    assert (ledger["name"], ledger["restartPolicy"]) == ("ledger", "Always")
    assert "startupProbe" in ledger, "the proxy must not start before the ledger listens"


@pytest.mark.parametrize(
    ("unready", "drain"), [(10, 120), (0, 1), (2.5, 600.5), (300, 3600)], ids=str
)
def test_the_grace_is_longer_than_what_the_proxy_takes_to_drain(
    unready: float, drain: float
) -> None:
    values = {"proxy": {"unreadySeconds": unready, "drainSeconds": drain}}
    spec = Objects.of(values).proxy_pod()
    settings = read_settings(_container(spec, "proxy")["args"], {})
    assert (settings.unready_s, settings.drain_s) == (unready, drain)
    spare = spec["terminationGracePeriodSeconds"] - unready - drain
    assert spare >= 20, "settling and the ledger's own end come after"


@pytest.mark.parametrize("values", EVERY)
def test_every_pod_is_as_restricted_as_kubernetes_knows(values: Values) -> None:
    for name, pod in Objects.of(values).pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert spec["enableServiceLinks"] is False, "a Service would set SIGNALBOX_PORT"
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            mounts = {one["mountPath"] for one in container["volumeMounts"]}
            assert "/tmp" in mounts, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" in container["resources"]["requests"], name


@pytest.mark.parametrize("values", EVERY)
def test_only_the_operator_has_a_token_of_the_cluster(values: Values) -> None:
    tokens = {
        name: pod["spec"]["automountServiceAccountToken"]
        for name, pod in Objects.of(values).pods().items()
    }
    assert {name for name, has in tokens.items() if has} == {f"{RELEASE}-operator"}


@pytest.mark.parametrize("values", EVERY)
def test_pods_get_what_selects_them_and_nothing_in_them_changes_with_the_charts_version(
    values: Values,
) -> None:
    for one in Objects.of(values).items:
        if one["kind"] not in {"Deployment", "StatefulSet"}:
            continue
        labels = one["spec"]["template"]["metadata"]["labels"]
        wanted = one["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= labels.items()
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys()


@pytest.mark.parametrize("values", EVERY)
def test_secrets_of_the_control_plane_are_empty_and_kept(values: Values) -> None:
    secrets = {one["metadata"]["name"]: one for one in Objects.of(values).kind("Secret")}
    for name in SECRETS:
        secret = secrets[f"{RELEASE}-{name}"]
        assert not {"data", "stringData"} & secret.keys()
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("values", EVERY)
def test_the_operator_may_read_and_fill_every_secret_that_it_looks_after_and_no_other(
    values: Values,
) -> None:
    """One that is missing or forbidden would keep all of them empty."""
    (rule,) = Objects.of(values).operators_secret_rules()
    assert sorted(rule["resourceNames"]) == sorted(f"{RELEASE}-{name}" for name in SECRETS)
    assert sorted(rule["verbs"]) == ["get", "update"]


@pytest.mark.parametrize("values", EVERY)
def test_two_renderings_are_the_same_byte_for_byte(values: Values) -> None:
    """Nothing is drawn by lot, so that what GitOps renders again is no change."""
    assert rendered(values) == rendered(values, arguments=["--skip-schema-validation"])


@pytest.mark.parametrize("values", EVERY)
def test_a_mounted_secret_is_one_that_the_chart_makes_or_the_values_name(values: Values) -> None:
    objects = Objects.of(values)
    made = {one["metadata"]["name"] for one in objects.kind("Secret")}
    named = {"fleet-database", "database-ca", "key"}
    for pod in objects.pods().values():
        text = str(pod)
        used = set(re.findall(r"'secretName': '([^']+)'", text))
        used |= set(re.findall(r"'secretKeyRef': \{'name': '([^']+)'", text))
        assert used <= made | named


def test_a_proxy_waits_for_its_keys_instead_of_failing() -> None:
    """`items` name what the operator fills: until then the kubelet does not start the pod."""
    spec = Objects.of().proxy_pod()
    wanted = {
        "trust": {"signing-keys.pem", "ca.crt"},
        "tokens": {"control-tokens"},
        "control": {"tls.crt", "tls.key"},
    }
    for volume, keys in wanted.items():
        items = _volume(spec, volume)["secret"]["items"]
        assert {one["key"] for one in items} == keys
        assert all(one["key"] == one["path"] for one in items)


def test_no_proxy_mounts_what_signs() -> None:
    for values in COMBINATIONS.values():
        for name, pod in Objects.of(values).pods().items():
            mounted = {
                volume.get("secret", {}).get("secretName")
                for volume in pod["spec"].get("volumes", [])
            }
            assert f"{RELEASE}-signer" not in mounted, name
            assert f"{RELEASE}-webhook" not in mounted, name


def test_with_simulate_every_lane_of_the_manifests_has_a_made_up_key_and_no_real_one() -> None:
    objects = Objects.of({"simulate": True})
    assert not objects.has("Secret", f"{RELEASE}-credentials")
    for name in ("proxy", "simulator"):
        spec = objects.pods()[f"{RELEASE}-{name}"]["spec"]
        secret = _volume(spec, "credentials")["secret"]["secretName"]
        assert secret == f"{RELEASE}-simulated-credentials"
    made = objects.get("Secret", f"{RELEASE}-simulated-credentials")["data"].keys()
    asked = {
        key
        for file in (ROOT / "manifests").rglob("*.yaml")
        for key in re.findall(r"auth: \{[^}]*\bkey: ([-\w]+)", file.read_text())
    }
    assert asked <= made
    assert {"simulated-aws", "simulated-azure", "simulated-google"} <= made
    operator = objects.get("Deployment", f"{RELEASE}-operator")["spec"]["template"]["spec"]
    url = f"--simulate-url=http://{RELEASE}-simulator.{NAMESPACE}.svc:8080"
    assert url in operator["containers"][0]["args"]


def test_the_starter_budget_is_one_that_signalbox_accepts() -> None:
    (budget,) = Objects.of().kind("Budget")
    loaded = read_text(yaml.safe_dump(budget), "starter.yaml")
    assert not loaded.problems
    assert budget["spec"]["scope"] == {"all": True}
    assert set(budget["spec"]["limit"]) == {"usd"}


@pytest.mark.parametrize("values", EVERY)
def test_the_notes_name_the_first_three_commands(values: Values, tmp_path: Path) -> None:
    text = notes(values, tmp_path)
    assert re.findall(r"^([1-9])\. ", text, re.MULTILINE) == ["1", "2", "3"]
    commands = [line for line in text.splitlines() if line.startswith("     kubectl ")]
    assert len(commands) == 3, text


@pytest.mark.parametrize(
    ("image", "warned"),
    [
        ({}, True),
        ({"tag": "next"}, True),
        ({"registry": "registry.bank.example"}, False),
        ({"repository": "registry.bank.example/ai/signalbox"}, False),
        ({"digest": "sha256:" + "0" * 64}, False),
    ],
    ids=["as it comes", "tag", "registry", "repository", "digest"],
)
def test_the_notes_tell_who_named_no_registry_where_the_image_comes_from(
    image: Values, warned: bool, tmp_path: Path
) -> None:
    text = notes({"image": image}, tmp_path)
    assert ("NO REGISTRY" in text) is warned
    assert ("--set image.registry=REGISTRY" in text) is warned
    if warned:
        assert f"docker push REGISTRY/signalbox:{image.get('tag', '0.1.0')}" in text


def test_a_succeeded_test_leaves_no_pod_behind() -> None:
    (pod,) = Objects.of().kind("Pod")
    policy = pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert set(policy.split(",")) == {"before-hook-creation", "hook-succeeded"}


def test_monitoring_objects_are_there_when_asked_for() -> None:
    assert not Objects.of().kind("ServiceMonitor")
    objects = Objects.of({**FLEET, **MONITORED})
    (monitor,) = objects.kind("ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    ports = {
        service["metadata"]["name"]: [port["name"] for port in service["spec"]["ports"]]
        for service in objects.kind("Service")
        if selector <= service["metadata"]["labels"].items()
    }
    assert {name for name, found in ports.items() if "metrics" in found} == {
        f"{RELEASE}-proxy-control",
        f"{RELEASE}-operator",
    }

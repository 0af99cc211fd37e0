"""A fleet of proxies on PostgreSQL, as the chart makes it: served through a rolling restart."""

from pathlib import Path

import pytest

from support.real_cluster import PLATFORM, RELEASE, Cluster, eventually

MODEL = "gpt-5.4-mini"
AGENT = {
    "apiVersion": "signalbox.dev/v1alpha1",
    "kind": "Agent",
    "metadata": {"name": "storyteller", "namespace": "retail"},
    "spec": {
        "domain": "retail",
        "maxSensitivity": "internal",
        "defaults": {"workload": "support"},
        "models": {"allow": [MODEL]},
    },
}
STREAMS = 24


@pytest.fixture(scope="module")
def fleet(
    empty_cluster: Cluster,
    packed: dict[str, Path],
    quickstart: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cluster:
    folder = tmp_path_factory.mktemp("values")
    registry, _, rest = empty_cluster.postgres_image.partition("/")
    repository, _, tag = rest.partition(":")
    image = {"registry": registry, "repository": repository, "tag": tag, "pullPolicy": "Never"}
    small = {"requests": {"cpu": "20m", "memory": "96Mi"}}
    values = empty_cluster.values(
        simulate=True,
        proxy={
            "replicas": 3,
            "unreadySeconds": 5,
            "drainSeconds": 60,
            "resources": small,
            "ledgerResources": small,
        },
        postgresql={"enabled": True, "password": "only-for-tests", "image": image},
    )
    empty_cluster.install(packed["signalbox-crds"], "signalbox-crds", {}, folder)
    empty_cluster.install(packed["signalbox"], RELEASE, values, folder)
    empty_cluster.kubectl("apply", "-f", str(quickstart))
    empty_cluster.apply(AGENT)
    return empty_cluster


def _status(cluster: Cluster) -> dict[str, int]:
    return dict(cluster.get("fleet", RELEASE).get("status", {}).get("proxies", {}))


def test_a_rolling_restart_of_all_proxies_fails_no_stream_and_leaves_no_hold(
    fleet: Cluster,
) -> None:
    key = fleet.new_key("retail", "storyteller")
    fleet.kubectl(
        *("wait", "--for=condition=Programmed", "agent/storyteller", "-n", "retail"),
        "--timeout=300s",
    )
    eventually(lambda: _status(fleet).get("ready") == 3, 120, "three proxies are ready")
    environment = {
        "BASE_URL": f"http://{RELEASE}.{PLATFORM}.svc/v1",
        "KEY": key,
        "MODEL": MODEL,
    }
    load = ("--streams", str(STREAMS), "--seconds", "60", "--tokens", "60", "--pace", "50")
    fleet.start_client("load", "retail", environment, *load)
    eventually(
        lambda: "started" in fleet.kubectl("logs", "load", "-n", "retail", code=None),
        120,
        "the load has started",
    )
    before = {pod["metadata"]["uid"] for pod in _proxies(fleet)}
    fleet.kubectl("rollout", "restart", f"deployment/{RELEASE}-proxy", "-n", PLATFORM)
    fleet.kubectl(
        *("rollout", "status", f"deployment/{RELEASE}-proxy", "-n", PLATFORM, "--timeout=400s")
    )
    said = fleet.client_said("load", "retail")
    print(f"streams through the restart: {said}")
    assert said["failed"] == 0, said["failures"]
    assert said["done"] >= STREAMS
    eventually(
        lambda: not before & {pod["metadata"]["uid"] for pod in _proxies(fleet)},
        200,
        "every proxy is another one",
    )

    def nothing_is_held() -> bool:
        status = fleet.get("budget", "company-day", PLATFORM).get("status", {})
        return status.get("held") in ("0", 0, None, "0.00")

    eventually(nothing_is_held, 120, "no hold is left")


def _proxies(cluster: Cluster) -> list[dict[str, dict[str, str]]]:
    pods = cluster.get("pod")["items"]
    return [pod for pod in pods if pod["metadata"]["name"].startswith(f"{RELEASE}-proxy-")]

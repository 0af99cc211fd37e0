"""A release as the chart leaves it, empty Secrets and all, in a real API server: the operator fills
them, proxies take them up, keys are changed under traffic, workloads come in by their tokens."""

import base64
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openai import AuthenticationError, OpenAI

from signalbox_operator.cluster.api import ApiError
from signalbox_operator.cluster.certificates import digest
from signalbox_operator.cluster.trust_keeper import SECRETS, FleetTrust, TrustKeeper
from support.apiserver import ApiServer
from support.charts import Objects
from support.cluster_client import api_of
from support.fleet import Fleet, eventually
from support.mounted_secrets import MountedSecret
from support.operators import PROXY_OPTIONS, RELEASE, OperatorProcess, Platform
from support.running import child_environment
from support.snapshots import key_of

MOUNTED = {
    "trust": ("signing-keys.pem", "ca.crt"),
    "control": ("tls.crt", "tls.key"),
    "tokens": ("control-tokens",),
}


class Kubelet(threading.Thread):
    """Mounts Secrets of a namespace, and renews the mounts when they change."""

    def __init__(self, server: ApiServer, namespace: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self._server, self._namespace = server, namespace
        self._versions: dict[str, str] = {}
        self._ended = threading.Event()
        self.late = threading.Event()
        """While it is set, no mount is renewed."""
        self.mounts = {
            name: MountedSecret(folder / f"mount-{name}", dict.fromkeys(keys, b""))
            for name, keys in MOUNTED.items()
        }

    def flags(self) -> tuple[str, ...]:
        trust, control, tokens = (self.mounts[name] for name in MOUNTED)
        flags = {
            "--trust": trust.path("signing-keys.pem"),
            "--control-ca": trust.path("ca.crt"),
            "--control-certificate": control.path("tls.crt"),
            "--control-key": control.path("tls.key"),
            "--control-token": tokens.path("control-tokens"),
        }
        return tuple(str(part) for pair in flags.items() for part in pair)

    def run(self) -> None:
        while not self._ended.wait(0.3):
            for name, mount in () if self.late.is_set() else self.mounts.items():
                stored = self._server.admin.get("Secret", self._namespace, f"{RELEASE}-{name}")
                version = stored["metadata"]["resourceVersion"]
                if self._versions.get(name) != version:
                    mount.replace(data_of(stored))
                    self._versions[name] = version

    def end(self) -> None:
        self._ended.set()
        self.join(60)


def data_of(stored: dict[str, Any]) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in (stored.get("data") or {}).items()}


def make_secrets(server: ApiServer, namespace: str) -> None:
    """As the chart renders them."""
    for name in SECRETS:
        metadata = {"name": f"{RELEASE}-{name}", "namespace": namespace}
        server.admin.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})


@dataclass
class Cluster(Platform):
    """A platform whose proxies read mounted Secrets."""

    kubelet: Kubelet = field(kw_only=True)


@pytest.fixture
def platform(apiserver: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Cluster]:
    make_secrets(apiserver, namespace)
    kubelet = Kubelet(apiserver, namespace, tmp_path)
    fleet = Fleet(tmp_path, proxies=2, options=(*PROXY_OPTIONS, *kubelet.flags()))
    with fleet:
        kubelet.start()
        made = Cluster(apiserver, namespace, fleet, kubelet=kubelet)
        made.register(fleet.proxies)
        yield made
        kubelet.end()


def ask(platform: Platform, key: str, number: int = 0) -> str:
    url = f"{platform.fleet.proxies[number].url}/v1"
    with OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        said = client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "hello"}], max_tokens=16
        )
    return said.id


def answers(platform: Platform, key: str, number: int = 0) -> bool:
    try:
        return bool(ask(platform, key, number))
    except Exception:  # noqa: BLE001  not yet, whatever the reason
        return False


def secret(platform: Platform, name: str) -> dict[str, bytes]:
    return data_of(platform.kube.get("Secret", platform.namespace, f"{RELEASE}-{name}"))


def rotate(platform: Platform) -> str:
    """`signalbox rotate` of everything; what it prints."""
    command = [sys.executable, "-m", "signalbox_cli", "rotate", "signer", "control", "tokens"]
    ran = subprocess.run(
        [*command, "--platform-namespace", platform.namespace],
        env=child_environment() | {"KUBECONFIG": str(platform.server.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rotating(platform: Platform) -> dict[str, Any]:
    return platform.condition("Fleet", platform.name, "Rotating")


def test_empty_secrets_become_a_fleet_whose_keys_change_while_it_serves(
    platform: Cluster, tmp_path: Path
) -> None:
    platform.company()
    key = key_of(f"{platform.namespace}/assistant")
    with OperatorProcess(platform, tmp_path, plain=False) as operator:
        for number in range(2):
            eventually(lambda number=number: answers(platform, key, number), within_s=120)
        before = {name: secret(platform, name) for name in SECRETS}
        assert set(before["trust"]) == {"signing-keys.pem", "ca.crt"}
        eventually(lambda: rotating(platform).get("reason") == "NothingChanges", within_s=60)
        platform.kubelet.late.set()
        assert f"describe fleet {platform.name} -n {platform.namespace}" in rotate(platform)
        waiting = eventually(
            lambda: found if (found := rotating(platform))["status"] == "True" else None,
            within_s=60,
        )
        assert waiting["reason"] == "WaitsForProxies"
        for said in (
            "(signer)",
            "(control)",
            "(tokens)",
            *(p.name for p in platform.fleet.proxies),
        ):
            assert said in waiting["message"]
        platform.kubelet.late.clear()

        def changed() -> bool:
            assert ask(platform, key), "a request failed while keys were changed"
            now = {name: secret(platform, name) for name in ("signer", "tokens", "trust")}
            return (
                now["tokens"]["control-tokens"].count(b"\n") == 1
                and now["tokens"] != before["tokens"]
                and now["signer"]["signing-keys.pem"].count(b"BEGIN") == 1
                and now["signer"]["signing-keys.pem"] != before["signer"]["signing-keys.pem"]
                and now["trust"]["ca.crt"].count(b"BEGIN") == 1
                and now["trust"]["ca.crt"] != before["trust"]["ca.crt"]
            )

        eventually(changed, within_s=180)
        eventually(lambda: rotating(platform).get("reason") == "NothingChanges", within_s=60)
        platform.agent("late")
        late = key_of(f"{platform.namespace}/late")
        for number in range(2):
            eventually(lambda number=number: answers(platform, late, number), within_s=120)
        said = operator.log.read_text() + "".join(
            proxy.log.read_text() for proxy in platform.fleet.proxies
        )
        assert "PRIVATE KEY" not in said
        for token in secret(platform, "tokens")["control-tokens"].decode().split():
            assert token not in said


def test_a_workload_comes_in_by_the_token_that_the_cluster_gave_it(
    platform: Platform, tmp_path: Path
) -> None:
    server, namespace = platform.server, platform.namespace
    server.account(namespace, "runner")
    server.account(namespace, "other")
    platform.company()
    platform.agent("assistant", credentials={"serviceAccounts": ["runner"]})
    with OperatorProcess(platform, tmp_path, plain=False):
        token = server.token(namespace, "runner", audience="signalbox", seconds=3600)
        eventually(lambda: answers(platform, token), within_s=120)
        for wrong in (
            server.token(namespace, "other", audience="signalbox", seconds=3600),
            server.token(namespace, "runner", seconds=3600),
            server.token(namespace, "runner", audience="somebody", seconds=3600),
        ):
            with pytest.raises(AuthenticationError):
                ask(platform, wrong)
        platform.kube.delete("ServiceAccount", namespace, "runner")
        server.account(namespace, "runner")
        eventually(lambda: not answers(platform, token), within_s=120)
        fresh = server.token(namespace, "runner", audience="signalbox", seconds=3600)
        eventually(lambda: answers(platform, fresh), within_s=120)
        with pytest.raises(AuthenticationError):
            ask(platform, token)


@pytest.mark.parametrize("webhook", [True, False], ids=["with the webhook", "without it"])
async def test_what_the_chart_makes_and_permits_is_enough_and_all_else_is_refused(
    apiserver: ApiServer, namespace: str, webhook: bool
) -> None:
    rendered = Objects.of({"webhook": {"enabled": webhook}})
    for each in rendered.kind("Secret"):
        metadata = each["metadata"] | {"namespace": namespace}
        apiserver.admin.apply(each | {"metadata": metadata})
    other = {"name": "somebody-elses", "namespace": namespace}
    apiserver.admin.apply({"apiVersion": "v1", "kind": "Secret", "metadata": other})
    account = apiserver.account(namespace, "operator", rendered.operators_secret_rules())
    async with api_of(account.kubeconfig) as api:
        keeper = TrustKeeper(
            api, namespace=namespace, release=RELEASE, clock=lambda: datetime.now(UTC)
        )
        look = await keeper.look(FleetTrust())
        assert set(look.changed) == set(SECRETS)
        assert (await keeper.look(FleetTrust())).changed == ()
        with pytest.raises(ApiError) as caught:
            await api.get(f"/api/v1/namespaces/{namespace}/secrets/somebody-elses")
        assert caught.value.status == 403
    control = apiserver.admin.get("Secret", namespace, f"{RELEASE}-control")
    assert digest(data_of(control)["tls.crt"])

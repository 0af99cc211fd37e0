"""A running operator for tests, and the Secrets, slices and objects that a cluster would have.

    with Fleet(tmp_path, proxies=2) as fleet, ApiServer(...) as server:
        platform = Platform(server, namespace, fleet)
        platform.install()
        with OperatorProcess(platform, tmp_path) as operator: ...

Proxies are those of `support.fleet`, real processes; here they are registered in EndpointSlices, as
the endpoint controller of a cluster would do.
"""

import base64
import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from signalbox_snapshot import signing_keys
from support.apiserver import ApiServer
from support.company import chat_model
from support.fleet import FLEET, Fleet, ProxyProcess, eventually
from support.kube_client import Kube, KubeError
from support.running import child_environment
from support.snapshots import SECRET, key_digest, key_of

API_VERSION = "signalbox.dev/v1alpha1"
RELEASE = "signalbox"
PROXY_OPTIONS = ("--host", "0.0.0.0")
"""Options of proxies that an API server may name: it refuses loopback addresses in slices."""


@dataclass
class Platform:
    """The platform namespace of one fleet in a test's API server."""

    server: ApiServer
    namespace: str
    fleet: Fleet
    name: str = FLEET

    @property
    def kube(self) -> Kube:
        return self.server.admin

    def install(self) -> None:
        """The Secrets that the operator reads, and the slice in which the proxies stand."""
        key = signing_keys.private_pem(self.fleet.signing_key)
        self.secret("signer", {"signing-keys.pem": key})
        self.secret("tokens", {"control-tokens": self.fleet.token.encode()})
        self.register(self.fleet.proxies)

    def secret(self, name: str, data: Mapping[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        metadata = {"name": f"{RELEASE}-{name}", "namespace": self.namespace}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}
        self.kube.apply(body)

    def register(self, proxies: Iterable[ProxyProcess], *, ready: bool = True) -> None:
        """One slice for each proxy: their ports differ here, and a slice has one list of ports."""
        for proxy in proxies:
            self.register_at(proxy.name, urlsplit(proxy.control_url).port or 0, ready=ready)

    def register_at(self, name: str, port: int, *, ready: bool = True) -> None:
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": f"{RELEASE}-proxy-control"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "control", "port": port, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [own_address()],
                    "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "name": name, "namespace": self.namespace},
                }
            ],
        }
        self.kube.apply(body)

    def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Applies one object of Signalbox's in the platform namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
        applied: dict[str, Any] = self.kube.apply(body)
        return applied

    def delete(self, kind: str, name: str) -> None:
        self.kube.delete(kind, self.namespace, name)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get(kind, self.namespace, name)
        return found

    def condition(self, kind: str, name: str, condition: str) -> dict[str, Any]:
        """One condition of an object; empty while it is not written."""
        listed = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((item for item in listed if item["type"] == condition), {})

    def head(self) -> dict[str, Any] | None:
        """The head as it is stored, without the snapshot."""
        try:
            stored = self.kube.get("ConfigMap", self.namespace, f"{self.name}-head")
        except KubeError as error:
            if error.status == 404:
                return None
            raise
        head: dict[str, Any] = json.loads(stored["data"]["head"])
        return head

    def generation(self) -> int:
        head = self.head()
        return 0 if head is None else int(head["generation"])

    def generations(self) -> list[int]:
        """What each proxy runs."""
        return [int(self.status(proxy)["generation"]) for proxy in self.fleet.proxies]

    def status(self, proxy: ProxyProcess) -> dict[str, Any]:
        return self._asked(proxy, "status")

    def snapshot(self, proxy: ProxyProcess) -> dict[str, Any]:
        """The snapshot that a proxy runs; one without objects where it has none."""
        try:
            sealed = self._asked(proxy, "snapshot")["snapshot"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return {"agents": [], "budgets": []}
            raise
        found: dict[str, Any] = json.loads(sealed)
        return found

    def company(self, agents: Sequence[str] = ("assistant",)) -> None:
        """A domain, a budget, a model on the simulated provider, and agents with a key each."""
        domain = {"ownerTeam": "r", "focusAccount": "1", "defaultSensitivity": "internal"}
        self.apply("Domain", "retail", domain)
        budget = {"scope": {"all": True}, "limit": {"usd": "100"}, "window": {"every": "day"}}
        self.apply("Budget", "all", budget)
        self.apply("Model", "small", chat_model("small", "api.mistral.ai", "eu", "FR")["spec"])
        for name in agents:
            self.agent(name)

    def agent(self, name: str, **spec: Any) -> None:
        digest = key_digest(self.namespace, name, SECRET)
        keys = {"keys": [{"name": "k1", "sha256": digest}]}
        wanted = {"domain": "retail", "maxSensitivity": "internal", "credentials": keys}
        self.apply("Agent", name, wanted | {"defaults": {"workload": "chat"}} | spec)

    def _asked(self, proxy: ProxyProcess, what: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{proxy.control_url}/control/v1/{what}",
            headers={"Authorization": f"Bearer {self.fleet.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


@dataclass
class OperatorProcess:
    """One `python -m signalbox_operator`, which tests may pause, kill and start again."""

    platform: Platform
    folder: Path
    arguments: Sequence[str] = ()
    kubeconfig: Path | None = None
    name: str = field(default_factory=lambda: f"operator-{secrets.token_hex(3)}")
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    plain: bool = True
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "signalbox_operator"),
            *(["--control-plain"] if self.plain else []),
            *("--namespace", self.platform.namespace, "--fleet", self.platform.name),
            *("--release", RELEASE, "--host", "127.0.0.1"),
            *("--metrics-port", "0", "--webhook-port", "0"),
            *("--simulate-url", self.platform.fleet.simulator.url),
            *self.arguments,
        ]
        kubeconfig = self.kubeconfig or self.platform.server.kubeconfig
        environment = child_environment() | {"KUBECONFIG": str(kubeconfig)} | self.environment
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("ready"), self.log.read_text()
        self.port = int(line.split("metrics-port=")[1].split()[0])

    def is_ready(self) -> bool:
        return self.readiness() == "ok"

    def readiness(self) -> str:
        """What /readyz says."""
        try:
            return self._read("readyz")
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode().strip()

    def _read(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as answer:
            return str(answer.read().decode().strip())

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self, within_s: float = 60.0) -> int:
        if self._process is None:
            return 0
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
        try:
            self.process.wait(within_s)
        finally:
            self.process.kill()
        return self._reap()

    def wait_for_exit(self, within_s: float) -> int:
        """The exit code of an operator that ends by itself."""
        self.process.wait(within_s)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._process = None
        return code


def own_address() -> str:
    """An address of this machine that is not a loopback one; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback ones, which slices may not hold")
        return str(probe.getsockname()[0])


def everywhere(platform: Platform, *, within_s: float = 90.0) -> int:
    """Waits until every proxy runs the head; its generation."""

    def reached() -> int:
        generation = platform.generation()
        return generation if generation and set(platform.generations()) == {generation} else 0

    return int(eventually(reached, within_s=within_s))


def ask(proxy: ProxyProcess, agent: str, *, text: str = "hello", again_if: str = "") -> int:
    """One chat request as an agent; the HTTP status of the answer. It is sent a second time where
    it is refused with the code `again_if`."""
    body = {"model": "small", "messages": [{"role": "user", "content": text}], "max_tokens": 16}
    request = urllib.request.Request(
        f"{proxy.url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key_of(agent)}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            if not again_if or json.load(error)["error"]["code"] != again_if:
                return error.code
        return ask(proxy, agent, text=text)


class Traffic:
    """Requests one after the other to every proxy, until it is left; `answers` are their statuses,
    0 where nobody answered; `again_if` as in `ask`."""

    def __init__(self, platform: Platform, agent: str = "assistant", again_if: str = "") -> None:
        self.answers: list[int] = []
        self._again_if = again_if
        self._agent = f"{platform.namespace}/{agent}"
        self._proxies = list(platform.fleet.proxies)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def goes_on(self, requests: int = 10) -> None:
        """Waits until so many more were answered."""
        wanted = len(self.answers) + requests
        eventually(lambda: len(self.answers) >= wanted)

    def _run(self) -> None:
        while not self._over.is_set():
            for proxy in self._proxies:
                try:
                    self.answers.append(ask(proxy, self._agent, again_if=self._again_if))
                except OSError:
                    self.answers.append(0)

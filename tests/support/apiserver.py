"""A real Kubernetes API server with its etcd, on 127.0.0.1, started, stopped and killed at will.

    with ApiServer(tmp_path) as server:
        server.admin.apply(manifest)
        tenant = server.account("wealth", "deployer", ["budgets", "agents"])
        server.apiserver.kill(); server.apiserver.start()

RBAC decides, users have real tokens, the CRDs of crds/ are installed. There is no controller
manager, no scheduler and no node: what is stored stays as it was stored, a deleted namespace never
goes, and pods are only objects. Programs: tests/cluster/tools. All ends with the test's process.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from cluster.tools import build
from support.certificates import Authority, rsa_key
from support.kube_client import Kube, KubeError, path_of
from support.running import ROOT, free_ports

START_S = 300.0
STOP_S = 60.0
GROUP = "signalbox.dev"
KINDS = ("Agent", "Budget", "DataAsset", "Domain", "Fleet", "Model", "RoutePolicy")


def require_apiserver() -> None:
    """Skip the test where the programs are neither built nor buildable; with CI=true that fails."""
    names = build.GROUPS["api"]
    if shutil.which("go") or all(build.PROGRAMS[name].path.exists() for name in names):
        return
    reason = "no kube-apiserver: it is built from source, and there is no `go` on the PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Server:
    """One program that listens on a port of its own; where it was killed it starts again."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command = list(command)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and do not wait until it answers."""
        assert not self.running
        dies_with_parent = ["setpriv", "--pdeathsig", "KILL", "--"]
        if shutil.which("setpriv") is None:
            dies_with_parent = []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*dies_with_parent, *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End it in its own way; it is killed where that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: connections are reset."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(by)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@dataclass(frozen=True)
class Account:
    """A ServiceAccount with exactly the rights that a test gave it."""

    namespace: str
    name: str
    kube: Kube
    kubeconfig: Path

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"


class ApiServer:
    """etcd and kube-apiserver with a data folder of their own. `arguments` are appended to the
    API server's. It ends with the thread that started it: start it in the main one."""

    def __init__(self, folder: Path, *, arguments: Sequence[str] = ()) -> None:
        self.folder = folder / f"apiserver-{secrets.token_hex(3)}"
        self.folder.mkdir()
        self.authority = Authority.new()
        self._counted = 0
        etcd, peer, port = free_ports(3)
        self.port = port
        self.etcd = Server(self._etcd_command(etcd, peer), self.folder / "etcd.log")
        self.admin = Kube(
            f"https://127.0.0.1:{port}", self.authority.pem, secrets.token_urlsafe(24)
        )
        self.kubeconfig = self.admin.kubeconfig(self.folder / "admin.kubeconfig")
        self.apiserver = Server(
            [*self._apiserver_command(etcd), *arguments], self.folder / "apiserver.log"
        )

    def __enter__(self) -> Self:
        require_apiserver()
        try:
            self.etcd.start()
            self.apiserver.start()
            self.wait_ready()
            self.install_crds()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both at once: nobody needs what they know."""
        self.apiserver.kill()
        self.etcd.kill()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def wait_ready(self) -> None:
        """Wait until it answers and all that it does at its start is done."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for each in (self.etcd, self.apiserver):
                assert each.running, f"{each.command[0]} ended:\n{each.log.read_text()[-3000:]}"
            with contextlib.suppress(KubeError, OSError):
                self.admin.call("GET", "/readyz")
                return
            time.sleep(0.1)
        log = self.apiserver.log.read_text()[-3000:]
        raise AssertionError(f"kube-apiserver is not ready within {START_S:.0f} s:\n{log}")

    def restart(self) -> None:
        """Kill the API server, start it again and wait until it answers."""
        self.apiserver.kill()
        self.apiserver.start()
        self.wait_ready()

    def back_up(self, folder: Path) -> Path:
        """A copy of all that etcd has, in `folder`. Both are stopped for it."""
        backup = folder / f"etcd-{secrets.token_hex(3)}"
        with self._stopped():
            shutil.copytree(self._data, backup)
        return backup

    def restore(self, backup: Path) -> None:
        """Put everything back to what it was then; both are stopped for it."""
        with self._stopped():
            shutil.rmtree(self._data)
            shutil.copytree(backup, self._data)

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        self.apiserver.kill()
        self.etcd.kill()
        try:
            yield
        finally:
            self.etcd.start()
            self.apiserver.start()
            self.wait_ready()

    @property
    def _data(self) -> Path:
        return self.folder / "etcd"

    def install_crds(self, folder: Path = ROOT / "crds") -> None:
        """Install every CRD of a folder, and wait until objects of each kind are taken."""
        definitions = [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("*.yaml"))]
        for definition in definitions:
            self.admin.apply(definition)
        for definition in definitions:
            spec = definition["spec"]
            for version in spec["versions"]:
                path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
                self.admin.wait(lambda kube, path=path: kube.call("GET", path), path)

    @contextlib.contextmanager
    def namespace(self, name: str = "") -> Iterator[str]:
        """A namespace of one test's own. Its Signalbox objects go with it; itself it never does,
        so give no name twice in the life of a server (and none at all, mostly)."""
        self._counted += 1
        name = name or f"test-{self._counted}"
        with contextlib.suppress(KubeError):  # another test had it
            self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            yield name
        finally:
            if not self.apiserver.running:
                self.apiserver.start()
                self.wait_ready()
            for kind in KINDS:
                with contextlib.suppress(KubeError):  # a kind that is not there
                    self.admin.delete(kind, name)

    def account(
        self,
        namespace: str,
        name: str,
        rules: Sequence[Mapping[str, Any] | str] = (),
        *,
        cluster_rules: Sequence[Mapping[str, Any] | str] = (),
    ) -> Account:
        """A user with a real token and exactly these rights: `rules` in its namespace,
        `cluster_rules` everywhere. A word is one of Signalbox's plurals with every verb."""
        meta = {"name": name, "namespace": namespace}
        self.admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        subject = {"kind": "ServiceAccount", **meta}
        self._grant("", meta, rules, subject)
        self._grant("Cluster", {"name": f"{namespace}-{name}"}, cluster_rules, subject)
        kube = Kube(self.admin.url, self.authority.pem, self.token(namespace, name))
        file = self.folder / f"{namespace}-{name}.kubeconfig"
        return Account(namespace, name, kube, kube.kubeconfig(file, namespace=namespace))

    def token(self, namespace: str, name: str, audience: str = "", seconds: int = 86_400) -> str:
        """A ServiceAccount's token, as a projected volume would hold it."""
        path = path_of("ServiceAccount", namespace, name) + "/token"
        spec = {"expirationSeconds": seconds, **({"audiences": [audience]} if audience else {})}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.admin.call("POST", path, body)["status"]["token"])

    def kubectl(
        self, *arguments: str, kubeconfig: Path | None = None, text: str = "", code: int | None = 0
    ) -> str:
        """What kubectl prints, on both outputs, as the administrator or as who is given."""
        ran = subprocess.run(
            [build.program("kubectl"), "--kubeconfig", kubeconfig or self.kubeconfig, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=180,
            env=dict(os.environ) | {"HOME": str(self.folder)},  # its discovery cache
        )
        said = ran.stdout + ran.stderr
        assert code is None or ran.returncode == code, (
            f"kubectl {arguments}: {ran.returncode}\n{said}"
        )
        return said

    def _grant(
        self,
        prefix: str,
        meta: Mapping[str, str],
        rules: Sequence[Mapping[str, Any] | str],
        subject: Mapping[str, str],
    ) -> None:
        whole = [
            {"apiGroups": [GROUP], "resources": [rule], "verbs": ["*"]}
            if isinstance(rule, str)
            else dict(rule)
            for rule in rules
        ]
        if not whole:
            return
        group = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{group}/v1", "kind": f"{prefix}Role", "metadata": meta}
        self.admin.apply(role | {"rules": whole})
        reference = {"apiGroup": group, "kind": role["kind"], "name": meta["name"]}
        binding = role | {"kind": f"{prefix}RoleBinding", "roleRef": reference}
        self.admin.apply(binding | {"subjects": [subject]})

    def _etcd_command(self, port: int, peer: int) -> list[str]:
        """Without fsync: a killed process loses nothing by that, a killed machine would."""
        client = f"http://127.0.0.1:{port}"
        return [
            *(_program("etcd"), "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}", "--log-level", "warn"),
        ]

    def _apiserver_command(self, etcd: int) -> list[str]:
        pair = self.authority.issue("kube-apiserver", ["127.0.0.1", "localhost"])
        signing = self._written("service-accounts.key", rsa_key())
        tokens = f"{self.admin.token},admin,admin,system:masters\n"
        return [
            *(_program("kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{etcd}"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}"),
            f"--tls-cert-file={self._written('server.crt', pair.certificate)}",
            f"--tls-private-key-file={self._written('server.key', pair.key)}",
            f"--token-auth-file={self._written('tokens.csv', tokens)}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={signing}",
            f"--service-account-signing-key-file={signing}",
            "--service-cluster-ip-range=10.96.0.0/24",
            # Nobody makes the ServiceAccount `default` here, which it would ask of every pod.
            "--disable-admission-plugins=ServiceAccount",
        ]

    def _written(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.touch(0o600)
        file.write_text(text)
        return file


@cache
def _program(name: str) -> str:
    require_apiserver()
    return str(build.program(name))

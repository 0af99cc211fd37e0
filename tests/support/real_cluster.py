"""A cluster that runs pods, as its users see it: a kubeconfig, `kubectl` and `helm`.

Nothing here knows how the cluster was made: `make cluster` and `make kind` both give the variables
that `Cluster.of_environment` reads.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.running import ROOT, free_ports

CHARTS = ROOT / "charts"
PLATFORM = "signalbox-system"
RELEASE = "signalbox"
LONG = "600s"


@dataclass(frozen=True)
class Cluster:
    """The cluster of KUBECONFIG and the images that it has."""

    image: str
    client_image: str
    postgres_image: str

    @classmethod
    def of_environment(cls) -> "Cluster":
        names = ("SIGNALBOX_IMAGE", "SIGNALBOX_CLIENT_IMAGE", "SIGNALBOX_POSTGRES_IMAGE")
        return cls(*(os.environ[name] for name in names))

    def kubectl(self, *arguments: str, text: str = "", code: int | None = 0) -> str:
        """What kubectl prints; with `code=None` whatever its exit code."""
        return _run("kubectl", *arguments, text=text, code=code)

    def helm(self, *arguments: str, code: int | None = 0) -> str:
        return _run("helm", *arguments, code=code)

    def get(self, kind: str, name: str = "", namespace: str = PLATFORM) -> Any:
        """An object, or with no name all of them in the namespace."""
        return json.loads(
            self.kubectl("get", kind, *([name] if name else []), "-n", namespace, "-o", "json")
        )

    def apply(self, *bodies: Mapping[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump_all([dict(body) for body in bodies]))

    def namespace(self, name: str) -> None:
        """A namespace whose pods must be restricted ones."""
        label = {"pod-security.kubernetes.io/enforce": "restricted"}
        meta = {"name": name, "labels": label}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})

    def values(self, **more: Any) -> dict[str, Any]:
        """Values of the chart for this cluster's images; `more` on top."""
        registry, _, rest = self.image.partition("/")
        repository, _, tag = rest.partition(":")
        image = {"registry": registry, "repository": repository, "tag": tag}
        return {"image": image | {"pullPolicy": "Never"}, **more}

    def install(self, chart: Path, name: str, values: Mapping[str, Any], folder: Path) -> str:
        """`helm upgrade --install` of a packed chart, until its pods are ready."""
        file = folder / f"{name}-values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        return self.helm(
            *("upgrade", "--install", name, str(chart), "--namespace", PLATFORM),
            *("--values", str(file), "--wait", "--timeout", LONG),
        )

    def packed(self, chart: str, folder: Path) -> Path:
        """The archive of a chart of this checkout."""
        said = self.helm("package", str(CHARTS / chart), "--destination", str(folder))
        return Path(said.rpartition(": ")[2].strip())

    def new_key(self, namespace: str, agent: str) -> str:
        """A key of an agent whose digest stands in the Agent."""
        python = ROOT / ".venv" / "bin" / "python"
        command = [python, "-m", "signalbox_cli", "key", "new", f"{namespace}/{agent}"]
        made = subprocess.run([*command, "--name", "tests"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        patch = made.stderr[made.stderr.index("spec:") :]
        self.kubectl(
            "patch",
            "agent",
            agent,
            "-n",
            namespace,
            "--type=merge",
            "--patch",
            json.dumps(yaml.safe_load(patch)),
        )
        return made.stdout.strip()

    @contextlib.contextmanager
    def port_forward(self, target: str, port: int, namespace: str = PLATFORM) -> Iterator[str]:
        """A URL of this machine that leads to a Service or pod."""
        local = free_ports(1)[0]
        process = subprocess.Popen(
            ["kubectl", "port-forward", target, "-n", namespace, f"{local}:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Forwarding from"), line + process.stdout.read()
            yield f"http://127.0.0.1:{local}"
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

    def start_client(
        self, name: str, namespace: str, environment: Mapping[str, str], *arguments: str
    ) -> None:
        """A pod that runs end_to_end/client/traffic.py."""
        security = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        container = {
            "name": "client",
            "image": self.client_image,
            "imagePullPolicy": "Never",
            "command": ["/opt/client/bin/python", "/opt/client/traffic.py", *arguments],
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "resources": {"requests": {"cpu": "250m"}},  # or a busy machine starves it
            "securityContext": security,
        }
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        meta = {"name": name, "namespace": namespace}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    def client_said(self, name: str, namespace: str, within_s: float = 300.0) -> dict[str, Any]:
        """What a pod of `start_client` found out, once it has ended; the pod is gone then."""

        def phase() -> str:
            return str(self.get("pod", name, namespace)["status"].get("phase"))

        ended = eventually(lambda: phase() in ("Succeeded", "Failed"), within_s, f"{name} ends")
        log = self.kubectl("logs", name, "-n", namespace)
        assert ended
        assert phase() == "Succeeded", log
        self.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")
        return dict(json.loads(log.strip().splitlines()[-1]))


def eventually(condition: Callable[[], Any], within_s: float = 120.0, what: str = "") -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what or condition}"
        time.sleep(0.25)
    return found


def _run(program: str, *arguments: str, text: str = "", code: int | None = 0) -> str:
    ran = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, timeout=900
    )
    said = ran.stdout + ran.stderr
    assert code is None or ran.returncode == code, (
        f"{program} {arguments}: {ran.returncode}\n{said}"
    )
    return ran.stdout if ran.returncode == 0 and code == 0 else said

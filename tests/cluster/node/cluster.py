"""A real control plane and node on this machine, with no container engine: made and ended.

What runs is in namespaces of its own (`machine`); here is what the machine itself sees of it: one
process, one network interface, one cgroup, one folder, and a few kernel settings that a kubelet
changes for the whole machine and that are put back.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import yaml

from cluster.node import configuration, images, layout
from cluster.tools import build
from support.kube_client import Kube

READY_S = 300.0
_RUNNING = layout.DATA.with_suffix(".json")
"""What runs, whichever checkout started it: there is one on a machine."""
_SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
_KEYS = ("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")
_VOLUMES = 16


def up() -> None:
    """Make the cluster and wait until pods run in it. What was there before is ended first."""
    if missing := layout.missing():
        raise SystemExit(f"a cluster on this machine needs: {', '.join(missing)}")
    down()
    for name in build.GROUPS["node"]:
        build.program(name)
    kube = _start()
    archives = [getattr(images, name)() for name in _IMAGES]
    with _told("the node is ready"):
        kube.wait(_node_ready, "a ready node", within_s=READY_S)
    with _told("images are loaded"):
        for archive in archives:
            _load(archive)
    with _told("names are answered"):
        _addons(kube)


_IMAGES = ("pause", "coredns", "signalbox", "client", "postgres")


def down() -> None:
    """End what `up` started, from this checkout or another, and leave the machine as it was."""
    state = _recorded()
    if state and _alive(state):
        os.kill(state["pid"], signal.SIGKILL)  # its child, process 1 in there, dies with it
        _until(lambda: not _alive(state), "the cluster's process ends")
    _until(lambda: not _inside(), "its processes are gone")
    if Path(f"/sys/class/net/{layout.LINK}").exists():
        subprocess.run(["ip", "link", "delete", layout.LINK], check=True)
    for name, value in (state or {}).get("settings", {}).items():
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value)
    _remove_cgroups()
    shutil.rmtree(layout.DATA, ignore_errors=True)
    with contextlib.suppress(OSError):  # a place for a mount, unless somebody uses it
        Path("/var/lib/cni").rmdir()
    _RUNNING.unlink(missing_ok=True)


def _start() -> Kube:
    shutil.rmtree(layout.STATE, ignore_errors=True)
    layout.LOGS.mkdir(parents=True)
    layout.DATA.mkdir(mode=0o711)
    for number in range(_VOLUMES):
        folder = layout.DATA / "volumes" / str(number)
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    for hierarchy in _hierarchies():
        (hierarchy / layout.CGROUP).mkdir(exist_ok=True)
    kube = configuration.write()
    settings = {name: Path("/proc/sys", name).read_text() for name in (*_SETTINGS, *_KEYS)}
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    folders = [str(layout.ROOT / "tests")]
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(folders)}
    with (layout.LOGS / "machine.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "cluster.node.machine"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=layout.ROOT,
            start_new_session=True,
        )
    state = {"pid": process.pid, "started": _started(process.pid), "settings": settings}
    _RUNNING.write_text(json.dumps(state))
    _until(lambda: _namespace(process.pid) != _namespace("self"), "namespaces of its own")
    link = ["ip", "link", "add", layout.LINK, "type", "veth"]
    subprocess.run([*link, "peer", "name", "eth0", "netns", str(process.pid)], check=True)
    address = ["ip", "address", "add", f"{layout.OUTSIDE}/30", "dev", layout.LINK]
    subprocess.run(address, check=True)
    subprocess.run(["ip", "link", "set", layout.LINK, "up"], check=True)
    with _told("the API server answers"):
        kube.wait(lambda _: _answers(kube, process), "the API server", within_s=READY_S)
    return kube


def _answers(kube: Kube, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise SystemExit((layout.LOGS / "machine.log").read_text())
    return bool(kube.call("GET", "/readyz") == "ok")


def _node_ready(kube: Kube) -> bool:
    conditions = kube.get("Node", name=layout.NODE)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _load(archive: Path) -> None:
    control = ["ctr", "--address", str(layout.SOCKET), "--namespace", "k8s.io", "images", "import"]
    ran = subprocess.run([*control, str(archive)], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{archive}: {ran.stdout}{ran.stderr}")


def _addons(kube: Kube) -> None:
    """Names and volumes: what a cluster brings beside its programs."""
    text = (Path(__file__).parent / "addons.yaml").read_text()
    values = {name: getattr(layout, name) for name in ("DNS_SERVICE", "COREDNS")}
    for body in yaml.safe_load_all(Template(text).substitute(values)):
        _apply(kube, body)
    for number in range(_VOLUMES):
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"volume-{number}"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "20Gi"},
                "hostPath": {"path": str(layout.DATA / "volumes" / str(number))},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "standard",
            },
        }
        _apply(kube, volume)
    kube.wait(_names_answered, "CoreDNS", within_s=READY_S)


def _apply(kube: Kube, body: dict[str, Any]) -> None:
    ran = subprocess.run(
        [build.program("kubectl"), "--kubeconfig", layout.KUBECONFIG, "apply", "-f", "-"],
        input=yaml.safe_dump(body),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(ran.stderr)


def _names_answered(kube: Kube) -> bool:
    status = kube.get("Deployment", "kube-system", "coredns")["status"]
    return bool(status.get("readyReplicas"))


def _hierarchies() -> list[Path]:
    """Where control groups are made: one tree (version 2), or one for each controller."""
    if (layout.CGROUPS / "cgroup.controllers").exists():
        return [layout.CGROUPS]
    return [each for each in layout.CGROUPS.iterdir() if each.is_dir() and not each.is_symlink()]


def _remove_cgroups() -> None:
    for hierarchy in _hierarchies():
        top = hierarchy / layout.CGROUP
        folders = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        for folder in folders:
            with contextlib.suppress(OSError):  # processes of it are still ending
                folder.rmdir()


def _inside() -> list[int]:
    """Processes that have the cluster's cgroup."""
    found: list[int] = []
    for hierarchy in _hierarchies():
        for file in (hierarchy / layout.CGROUP).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found += [int(line) for line in file.read_text().split()]
    return found


def _recorded() -> dict[str, Any]:
    return dict(json.loads(_RUNNING.read_text())) if _RUNNING.exists() else {}


def _alive(state: dict[str, Any]) -> bool:
    """Whether that very process runs: its number may belong to another by now."""
    return bool(_started(state["pid"]) == state["started"])


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _namespace(pid: int | str) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return str(Path("/proc/self/ns/net").readlink())


def _until(condition: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {within_s:.0f} s it is still not true that {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"cluster: {what} ({time.monotonic() - began:.1f} s)", flush=True)

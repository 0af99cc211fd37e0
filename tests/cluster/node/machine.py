"""The cluster's machine: process 1 of its own process, mount and network namespaces.

    python -m cluster.node.machine     (started by `cluster.node.cluster`, through unshare(1))

It starts the control plane and the node in order and waits. When it ends, whatever way, the kernel
ends every process that it or a pod started, and with the last one go all mounts, interfaces and
packet filter rules: there is nothing to clean up and nothing of the machine's own to break.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from cluster.node import configuration, layout

WAIT_S = 300.0
_running: dict[str, subprocess.Popen[bytes]] = {}


def main() -> int:
    """Run the cluster until a signal says stop or one of its programs ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _mounts()
    _network()
    programs = configuration.programs()
    for name in ("etcd", "kube-apiserver"):
        _start(name, programs[name])
    _wait("the API server", _api_ready)
    for name in ("containerd", "kube-controller-manager", "kube-scheduler"):
        _start(name, programs[name])
    _wait("containerd", layout.SOCKET.exists)
    for name in ("kubelet", "kube-proxy"):
        _start(name, programs[name])
    return _reap()


def _mounts() -> None:
    """What programs write at fixed places goes to memory; pods' volumes are seen by the kubelet."""
    _run("mount", "--make-rshared", "/")
    for folder in ("/run", "/var/log", "/var/lib/cni"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)


def _network() -> None:
    """/proc knows whose interfaces they are; /sys was mounted by the machine and shows its own."""
    _wait("the link to the machine", lambda: "eth0:" in Path("/proc/self/net/dev").read_text())
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{layout.INSIDE}/30", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if filtered.exists():  # so that a pod reaches itself and its neighbours through a Service
        filtered.write_text("1")


def _start(name: str, command: list[str]) -> None:
    _say(f"starting {name}")
    with (layout.LOGS / f"{name}.log").open("wb") as log:
        _running[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=layout.DATA
        )


def _api_ready() -> bool:
    context = ssl.create_default_context(cafile=str(layout.DATA / "ca.crt"))
    try:
        url = f"https://{layout.INSIDE}:{layout.PORT}/readyz"
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(what: str, condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        _check()
        if time.monotonic() - began > WAIT_S:
            raise SystemExit(f"{what} is not there after {WAIT_S:.0f} s")
        time.sleep(0.1)
    _say(f"{what} is there after {time.monotonic() - began:.1f} s")


def _check() -> None:
    for name, process in _running.items():
        if process.poll() is not None:
            raise SystemExit(
                f"{name} ended with {process.returncode}; see {layout.LOGS}/{name}.log"
            )


def _reap() -> int:
    """Collect what ends, orphans of pods too; a program of the cluster that ends, ends all."""
    _say("all is started")
    names = {process.pid: name for name, process in _running.items()}
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid in names:
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps({"ended": names[pid], "code": code}), flush=True)
            return 1


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}: {ran.stderr}")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

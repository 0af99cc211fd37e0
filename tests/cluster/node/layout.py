"""Where a test cluster keeps its things, and its addresses. One cluster on a machine at a time.

Its processes, mounts, interfaces and packet filter are in namespaces of their own (see `machine`),
so these addresses and names are the cluster's alone. The machine sees one interface, `LINK`.
"""

import os
import shutil
from pathlib import Path

from cluster.tools import build

ROOT = Path(__file__).resolve().parents[3]
STATE = ROOT / ".cluster"
"""Logs, kubeconfig, what is running: kept after a failure."""
LOGS = STATE / "logs"
KUBECONFIG = STATE / "kubeconfig"
DATA = Path("/var/tmp/signalbox-cluster")
"""What etcd, containerd and the kubelet write; gone when the cluster is."""
SOCKET = DATA / "containerd.sock"

LINK = "signalbox0"
OUTSIDE, INSIDE = "10.203.0.1", "10.203.0.2"
"""The machine's and the node's end of the link between them; nothing is routed beyond."""
PODS, SERVICES = "10.204.0.0/24", "10.205.0.0/24"
API_SERVICE, DNS_SERVICE = "10.205.0.1", "10.205.0.10"
PORT = 6443
NODE = "node"
CGROUPS = Path("/sys/fs/cgroup")
CGROUP = "signalbox-cluster"

IMAGE = "localhost/signalbox:test"
CLIENT = "localhost/signalbox-client:test"
POSTGRES = "localhost/postgres:test"
PAUSE = "localhost/pause:test"
COREDNS = "localhost/coredns:test"

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "unshare": "util-linux",
}
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


def cache(name: str) -> Path:
    """A folder outside the checkout for what is dear to make."""
    folder = build.cache() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cni_folder() -> Path | None:
    """Where the plug-ins are that give pods their network."""
    return next((each for each in CNI_FOLDERS if (each / "bridge").exists()), None)


def missing() -> list[str]:
    """Debian packages of which something is not there, and other reasons against a cluster here."""
    wanted = sorted({package for name, package in PACKAGES.items() if shutil.which(name) is None})
    if cni_folder() is None:
        wanted.append("containernetworking-plugins")
    if os.geteuid() != 0:
        wanted.append("(root: a node makes namespaces, mounts and cgroups)")
    return wanted

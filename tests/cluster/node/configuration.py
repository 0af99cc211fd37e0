"""What the programs of a test cluster are told: certificates, kubeconfigs, command lines.

The facts that are not obvious: the controller manager needs the service account key and the root
certificate, or pods wait for `kube-root-ca.crt` for ever; a machine without CAP_SYS_RESOURCE may
not lower an OOM score, which containerd must be told; cgroup version 1 has to be allowed.
"""

import json
import secrets
from pathlib import Path

import yaml

from cluster.node import layout
from cluster.tools import build
from support.certificates import Authority, rsa_key
from support.kube_client import Kube

_USERS = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    "kubelet": (f"system:node:{layout.NODE}", ("system:nodes",)),
}
_API_NAMES = (
    *(layout.INSIDE, layout.API_SERVICE, "127.0.0.1", "localhost", "kubernetes"),
    *("kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
)


def write() -> Kube:
    """Write every file into the cluster's folders; the administrator's client."""
    authority = Authority.new()
    _write("ca.crt", authority.pem)
    _write("service-accounts.key", rsa_key())
    server = authority.issue("kube-apiserver", _API_NAMES)
    _write("apiserver.crt", server.certificate)
    _write("apiserver.key", server.key)
    client = authority.issue("kube-apiserver-kubelet-client", organizations=["system:masters"])
    _write("kubelet-client.crt", client.certificate)
    _write("kubelet-client.key", client.key)
    for program, (user, groups) in _USERS.items():
        pair = authority.issue(user, organizations=groups)
        _write(f"{program}.crt", pair.certificate)
        _write(f"{program}.key", pair.key)
        _write(f"{program}.kubeconfig", yaml.safe_dump(_kubeconfig(program)))
    token = secrets.token_urlsafe(24)
    _write("tokens.csv", f"{token},admin,admin,system:masters\n")
    _write("kubelet.yaml", yaml.safe_dump(_kubelet()))
    _write("containerd.toml", _CONTAINERD)
    _write("resolv.conf", "")
    (layout.DATA / "cni").mkdir()
    _write("cni/10-pods.conflist", json.dumps(_cni()))
    kube = Kube(f"https://{layout.INSIDE}:{layout.PORT}", authority.pem, token)
    kube.kubeconfig(layout.KUBECONFIG)
    return kube


def programs() -> dict[str, list[str]]:
    """Command lines by program."""
    data = layout.DATA
    etcd = "http://127.0.0.1:2379"
    return {
        "etcd": [
            *(_built("etcd"), "--data-dir", f"{data}/etcd", "--unsafe-no-fsync"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *("--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "warn"),
        ],
        "kube-apiserver": _apiserver(etcd),
        "kube-controller-manager": [
            *(_built("kube-controller-manager"), *_as("kube-controller-manager")),
            *(
                "--bind-address=127.0.0.1",
                "--use-service-account-credentials",
                "--leader-elect=false",
            ),
            f"--service-account-private-key-file={data}/service-accounts.key",
            f"--root-ca-file={data}/ca.crt",
            *("--allocate-node-cidrs=false", "--node-monitor-grace-period=300s"),
        ],
        "kube-scheduler": [
            *(_built("kube-scheduler"), *_as("kube-scheduler")),
            *("--bind-address=127.0.0.1", "--leader-elect=false"),
        ],
        "containerd": ["containerd", "--config", f"{data}/containerd.toml"],
        "kubelet": [
            *(_built("kubelet"), f"--kubeconfig={data}/kubelet.kubeconfig"),
            *(f"--config={data}/kubelet.yaml", f"--root-dir={data}/kubelet"),
            *(f"--cert-dir={data}/kubelet-certificates", f"--hostname-override={layout.NODE}"),
            f"--node-ip={layout.INSIDE}",
        ],
        "kube-proxy": [
            *(_built("kube-proxy"), f"--kubeconfig={data}/kube-proxy.kubeconfig"),
            *("--proxy-mode=iptables", f"--cluster-cidr={layout.PODS}", "--oom-score-adj=0"),
            *("--conntrack-max-per-core=0", f"--hostname-override={layout.NODE}"),
            "--metrics-bind-address=127.0.0.1:10249",
        ],
    }


def _apiserver(etcd: str) -> list[str]:
    data = layout.DATA
    return [
        *(_built("kube-apiserver"), f"--etcd-servers={etcd}"),
        *(f"--bind-address={layout.INSIDE}", f"--advertise-address={layout.INSIDE}"),
        *(f"--secure-port={layout.PORT}", f"--service-cluster-ip-range={layout.SERVICES}"),
        *(f"--tls-cert-file={data}/apiserver.crt", f"--tls-private-key-file={data}/apiserver.key"),
        *(f"--client-ca-file={data}/ca.crt", f"--token-auth-file={data}/tokens.csv"),
        *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={data}/service-accounts.key",
        f"--service-account-signing-key-file={data}/service-accounts.key",
        f"--kubelet-client-certificate={data}/kubelet-client.crt",
        f"--kubelet-client-key={data}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    ]


def _as(program: str) -> list[str]:
    file = layout.DATA / f"{program}.kubeconfig"
    return [f"--{kind}kubeconfig={file}" for kind in ("", "authentication-", "authorization-")]


def _kubeconfig(program: str) -> dict[str, object]:
    data = layout.DATA
    server = {
        "server": f"https://{layout.INSIDE}:{layout.PORT}",
        "certificate-authority": f"{data}/ca.crt",
    }
    user = {
        "client-certificate": f"{data}/{program}.crt",
        "client-key": f"{data}/{program}.key",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.INSIDE,
        "authentication": {"x509": {"clientCAFile": f"{layout.DATA}/ca.crt"}},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.CGROUP}",
        "clusterDNS": [layout.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{layout.SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "maxPods": 60,
        "podLogsDir": f"{layout.DATA}/pod-logs",
        "registerNode": True,
        "resolvConf": f"{layout.DATA}/resolv.conf",
        "syncFrequency": "10s",
    }


def _cni() -> dict[str, object]:
    subnet = {"type": "host-local", "ranges": [[{"subnet": layout.PODS}]]}
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipMasq": True,
        "ipam": subnet | {"dataDir": f"{layout.DATA}/addresses"},
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


_CONTAINERD = f"""version = 2
root = "{layout.DATA}/containerd"
state = "{layout.DATA}/containerd-state"
[grpc]
  address = "{layout.SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.DATA}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE}"
  restrict_oom_score_adj = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{layout.cni_folder()}"
    conf_dir = "{layout.DATA}/cni"
"""


def _built(name: str) -> str:
    return str(build.program(name))


def _write(name: str, text: str) -> None:
    file = Path(layout.DATA / name)
    file.touch(0o600)
    file.write_text(text)

"""What tests say to a Kubernetes API server, over plain HTTPS: one small client, and kubeconfigs.

    kube = Kube(url, authority_pem, token)
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {...}, "data": {...}})
    kube.get("Budget", "retail", "assistant")["status"]

It is not the operator's client on purpose: what judges the operator shares no code with it.
"""

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

CALL_S = 60.0
SIGNALBOX = "signalbox.dev/v1alpha1"
_APIS = {
    **dict.fromkeys(
        ("Namespace", "ConfigMap", "Secret", "Service", "ServiceAccount", "Pod", "Event", "Node"),
        "v1",
    ),
    **dict.fromkeys(
        ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), "rbac.authorization.k8s.io/v1"
    ),
    **dict.fromkeys(("Deployment", "StatefulSet", "ReplicaSet"), "apps/v1"),
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
}
_OF_THE_CLUSTER = {
    *("Namespace", "Node", "ClusterRole", "ClusterRoleBinding"),
    *("CustomResourceDefinition", "ValidatingWebhookConfiguration"),
}


class KubeError(Exception):
    """The server's own refusal: its HTTP status, reason (`NotFound`, …), and sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Where objects of a kind are; kinds without a version here are Signalbox's."""
    version = _APIS.get(kind, SIGNALBOX)
    plural = kind.lower()
    plural = f"{plural[:-1]}ies" if plural.endswith("y") else f"{plural}s"
    parts = ["/api" if version == "v1" else "/apis", version]
    if namespace and kind not in _OF_THE_CLUSTER:
        parts += ["namespaces", namespace]
    return "/".join([*parts, plural, *([name] if name else [])])


def path_for(body: Mapping[str, Any], *, named: bool = True) -> str:
    """Where this object is, or with `named=False` where it is created."""
    meta = body["metadata"]
    return path_of(body["kind"], meta.get("namespace", ""), meta["name"] if named else "")


@dataclass(frozen=True)
class Kube:
    """One user of an API server. `authority` is the PEM of what signed the server's certificate."""

    url: str
    authority: str
    token: str

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority)

    def call(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json"
    ) -> Any:
        """One request; the decoded answer, or text where it is not JSON.

        Raises KubeError where the server refuses, OSError where it is not there.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_S, context=self._context) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                raise _error(refused.code, refused.read().decode(errors="replace")) from None
        except http.client.HTTPException as cut:
            raise ConnectionError(f"the answer was cut: {cut!r}") from cut
        try:
            return json.loads(text)
        except ValueError:
            return text

    def get(self, kind: str, namespace: str = "", name: str = "") -> Any:
        """An object, or with no name the list (`["items"]`)."""
        return self.call("GET", path_of(kind, namespace, name))

    def create(self, body: Mapping[str, Any]) -> Any:
        return self.call("POST", path_for(body, named=False), body)

    def replace(self, body: Mapping[str, Any]) -> Any:
        return self.call("PUT", path_for(body), body)

    def apply(self, body: Mapping[str, Any], manager: str = "tests") -> Any:
        """Server-side apply, as `kubectl apply --server-side --force-conflicts` does."""
        query = f"?fieldManager={urllib.parse.quote(manager)}&force=true"
        return self.call(
            "PATCH", path_for(body) + query, body, content="application/apply-patch+yaml"
        )

    def patch(self, kind: str, namespace: str, name: str, change: Mapping[str, Any]) -> Any:
        """A merge patch (RFC 7396)."""
        path = path_of(kind, namespace, name)
        return self.call("PATCH", path, change, content="application/merge-patch+json")

    def patch_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> Any:
        path = path_of(kind, namespace, name) + "/status"
        content = "application/merge-patch+json"
        return self.call("PATCH", path, {"status": dict(status)}, content=content)

    def delete(self, kind: str, namespace: str = "", name: str = "") -> Any:
        """An object, or with no name all of the kind in the namespace."""
        return self.call("DELETE", path_of(kind, namespace, name))

    def wait(
        self, condition: Callable[["Kube"], Any], what: str = "", *, within_s: float = 120.0
    ) -> Any:
        """What `condition` gives once it is true; a refusal or a server that is away is a no."""
        deadline, last = time.monotonic() + within_s, "it was never true"
        while time.monotonic() < deadline:
            try:
                if found := condition(self):
                    return found
            except (KubeError, OSError) as not_yet:
                last = str(not_yet)
            time.sleep(0.05)
        raise AssertionError(f"{what or condition} within {within_s:.0f} s: {last}")

    def kubeconfig(self, file: Path, *, url: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig of this user; `url` where a link stands in front of the server."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [
                {
                    "name": "tests",
                    "cluster": {
                        "server": url or self.url,
                        "certificate-authority-data": _base64(self.authority),
                    },
                }
            ],
            "users": [{"name": "tests", "user": {"token": self.token}}],
            "contexts": [
                {
                    "name": "tests",
                    "context": {"cluster": "tests", "user": "tests", "namespace": namespace},
                }
            ],
        }
        file.touch(0o600)
        file.write_text(yaml.safe_dump(document))
        return file


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _error(status: int, text: str) -> KubeError:
    try:
        said = json.loads(text)
        return KubeError(status, said.get("reason", ""), said.get("message", text))
    except (ValueError, AttributeError):
        return KubeError(status, "", text[:2000])

"""The charts as helm renders them: objects, refusals, and the notes that people read.

The program is built once from its Go module (tests/cluster/tools) and kept in the user's cache.
"""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.tools import build
from support.running import ROOT

CHART = ROOT / "charts" / "signalbox"
CRDS_CHART = ROOT / "charts" / "signalbox-crds"
RELEASE = "signalbox"
NAMESPACE = "signalbox-system"
KUBERNETES = "1.34.0"

Values = Mapping[str, Any]
Manifest = dict[str, Any]


class RefusedError(Exception):
    """Helm would not render the chart; the text is what people see."""


@cache
def program(name: str) -> str:
    """A program of the group `charts`, built now if it was not before; without Go the test is
    skipped, with CI=true it fails."""
    if not build.PROGRAMS[name].path.exists() and shutil.which("go") is None:
        reason = f"no {name}: it is built from source, and there is no `go` on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(build.program(name))


def helm(
    *arguments: str | Path, values: Values | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run helm to its end, with values as a file; the caller looks at the exit code."""
    environment = dict(os.environ)
    if kubeconfig is not None:
        environment |= {"KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}
    command = [program("helm"), *map(str, arguments)]
    return subprocess.run(
        [*command, "--values", "-"] if values is not None else command,
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )


def rendered(
    values: Values | None = None,
    *,
    chart: Path = CHART,
    release: str = RELEASE,
    arguments: Sequence[str] = (),
) -> str:
    """What `helm template` prints; asked once for the same. Raises RefusedError with its sentence.

    The values of a test stand for a values file: `null` takes a default away.
    """
    return _rendered(json.dumps(values or {}), chart, release, tuple(arguments))


@cache
def _rendered(values: str, chart: Path, release: str, arguments: tuple[str, ...]) -> str:
    ran = helm(
        *("template", release, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES),
        *arguments,
        values=json.loads(values),
    )
    if ran.returncode:
        raise RefusedError(ran.stderr)
    return ran.stdout


class _Strict(yaml.CSafeLoader):
    """A key that stands twice is an error: kubectl would take the last one, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubled = {key for key in keys if keys.count(key) > 1}
        if doubled:
            raise yaml.constructor.ConstructorError(
                None, None, f"{sorted(doubled)} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


@cache
def _parsed(text: str) -> "Objects":
    documents = yaml.load_all(text, Loader=_Strict)
    return Objects(tuple(document for document in documents if document))


def notes(values: Values, folder: Path) -> str:
    """What people read after an installation. Only a cluster shows them; so a copy of the chart in
    `folder` gives them as an object."""
    copy = shutil.copytree(CHART, folder / "chart")
    (copy / "templates" / "NOTES.txt").rename(copy / "NOTES.txt")
    template = """kind: Notes\ntext: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}\n"""
    (copy / "templates" / "notes.yaml").write_text(template)
    (found,) = Objects.of(values, chart=copy).kind("Notes")
    return str(found["text"])


@dataclass(frozen=True)
class Objects:
    """The objects of one rendering, by kind and name. Shared between tests: nobody changes them."""

    items: tuple[Manifest, ...]

    @classmethod
    def of(cls, values: Values | None = None, **options: Any) -> "Objects":
        return _parsed(rendered(values, **options))

    def get(self, kind: str, name: str) -> Manifest:
        """The one object of that kind and name."""
        (found,) = [one for one in self.kind(kind) if one["metadata"]["name"] == name]
        return found

    def has(self, kind: str, name: str) -> bool:
        return any(one["metadata"]["name"] == name for one in self.kind(kind))

    def kind(self, kind: str) -> list[Manifest]:
        return [one for one in self.items if one["kind"] == kind]

    def pods(self) -> dict[str, Manifest]:
        """Every pod that the release would run: name of its owner, and what the pod would be."""
        found = {}
        for one in self.items:
            name = one["metadata"]["name"]
            if one["kind"] == "Pod":
                found[name] = one
            elif one["kind"] in {"Deployment", "StatefulSet"}:
                template = copy.deepcopy(one["spec"]["template"])
                template["spec"]["volumes"] += [
                    {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "c"}}
                    for claim in one["spec"].get("volumeClaimTemplates", [])
                ]
                found[name] = {"apiVersion": "v1", "kind": "Pod", **template}
        return found

    def proxy_pod(self) -> Manifest:
        """The spec of the proxies' pod."""
        spec: Manifest = self.pods()[f"{RELEASE}-proxy"]["spec"]
        return spec

    def operators_secret_rules(self) -> list[Manifest]:
        """What the operator may do to Secrets of its own namespace."""
        rules = self.get("Role", f"{RELEASE}-operator")["rules"]
        return [one for one in rules if "secrets" in one["resources"]]

    def identities(self) -> set[tuple[str, str]]:
        """Kind and name of every object."""
        return {(one["kind"], one["metadata"]["name"]) for one in self.items}


FLEET: Values = {"externalDatabase": {"existingSecret": "fleet-database"}}
BUNDLED: Values = {"postgresql": {"enabled": True, "password": "for a trial/+"}}
MONITORED: Values = {
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "runbookUrl": "https://wiki.bank.example/signalbox/operations.md",
        },
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Signalbox"}},
    }
}

COMBINATIONS: dict[str, Values] = {
    "as it comes": {},
    "simulated": {"simulate": True},
    "simulated without a volume": {"simulate": True, "proxy": {"persistence": {"enabled": False}}},
    "fleet": FLEET,
    "fleet by a DSN": {"externalDatabase": {"dsn": "postgresql://u:p@db.bank.example/ledger"}},
    "fleet with TLS": {
        "externalDatabase": {
            "existingSecret": "fleet-database",
            "existingSecretKey": "uri",
            "tls": {"existingSecret": "database-ca", "clientCertificate": True},
        }
    },
    "fleet of five": {**FLEET, "proxy": {"replicas": 5}},
    "fleet without autoscaler": {**FLEET, "proxy": {"autoscaling": {"enabled": False}}},
    "fleet by requests under way": {
        **FLEET,
        "proxy": {
            "autoscaling": {
                "cpuPercent": None,
                "metrics": [
                    {
                        "type": "Pods",
                        "pods": {
                            "metric": {"name": "signalbox_requests_in_flight"},
                            "target": {"type": "AverageValue", "averageValue": "200"},
                        },
                    }
                ],
            },
            "podDisruptionBudget": {"maxUnavailable": "10%"},
        },
    },
    "simulated fleet": {**BUNDLED, "simulate": True},
    "bundled without a volume": {
        "postgresql": {
            **BUNDLED["postgresql"],
            "persistence": {"enabled": False},
            "image": {"repository": "mirror/postgres", "digest": "sha256:" + "0" * 64},
            "uid": 70,
        }
    },
    "monitored": {**FLEET, **MONITORED},
    "narrow network": {
        **FLEET,
        "networkPolicy": {
            "clients": [{"namespaceSelector": {"matchLabels": {"ai": "allowed"}}}],
            "scrapers": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "providers": [
                {"ports": [{"port": 443}], "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}
            ],
            "database": [{"ipBlock": {"cidr": "198.51.100.7/32"}}],
            "apiServer": [{"ipBlock": {"cidr": "192.0.2.1/32"}}],
        },
    },
    "open network": {"networkPolicy": {"enabled": False}},
    "identities from outside": {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    },
    "cloud identity": {
        "proxy": {
            "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:x"}},
            "podLabels": {"azure.workload.identity/use": "true"},
            "podAnnotations": {"sidecar.istio.io/inject": "false"},
            "env": [{"name": "GCE_METADATA_HOST", "value": "metadata.example"}],
        },
        "listen": "::",
    },
    "placed": {
        "imagePullSecrets": [{"name": "mirror"}],
        "image": {"registry": "registry.bank.example", "repository": "ai/signalbox", "tag": "1"},
        "proxy": {
            "nodeSelector": {"pool": "ai"},
            "tolerations": [{"key": "ai", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
            "topologySpreadConstraints": [],
            "persistence": {
                "storageClass": "fast",
                "accessModes": ["ReadWriteOncePod"],
                "annotations": {"backup": "yes"},
            },
            "service": {
                "type": "LoadBalancer",
                "port": 8080,
                "annotations": {"cloud/internal": "true"},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            },
        },
        "operator": {
            "nodeSelector": {"pool": "system"},
            "podLabels": {"team": "platform"},
            "podAnnotations": {"a": "b"},
        },
    },
    "little": {
        "webhook": {"enabled": False},
        "workloadIdentity": {"enabled": False},
        "starterBudget": {"enabled": False},
        "rbac": {"aggregateToView": False},
    },
    "own test": {"test": {"existingSecret": "key", "existingSecretKey": "k", "model": "auto"}},
    "teams write": {"rbac": {"aggregateToEdit": True}},
    "no cap on one request": {"starterBudget": {"maxPerRequestUsd": None, "usd": "0.5"}},
}
"""What people write, by what they want."""

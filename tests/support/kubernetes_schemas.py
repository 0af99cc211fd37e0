"""JSON Schemas of Kubernetes' own kinds, made from the OpenAPI text of a release.

The text is part of the Go module k8s.io/kubernetes. The schemas are strict: what a kind does not
have is refused, as `kubectl apply` with strict validation refuses it. They are kept in the cache,
where kubeconform reads them: `FOLDER/KIND-GROUP-VERSION.json`, in lower case.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.tools import build
from support.running import ROOT

RELEASES = ("v1.32.13", "v1.33.13", "v1.34.4")
TEMPLATE = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"
MADE = 1
"""Counts changes of how they are made."""

_REF = "#/definitions/"
_INT_OR_STRING = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
_KIND = "x-kubernetes-group-version-kind"


def schemas_of(release: str) -> Path:
    """The folder with the schemas of a release; made where it is not there yet."""
    folder = build.cache() / "schemas" / f"{release}-{MADE}"
    if folder.exists():
        return folder
    swagger = json.loads((_module(release) / "api/openapi-spec/swagger.json").read_text())
    definitions = {
        name: _strict(schema, f"_definitions.json{_REF}")
        for name, schema in swagger["definitions"].items()
    }
    fresh = folder.with_name(f".{folder.name}-{os.getpid()}")
    fresh.mkdir(parents=True)
    (fresh / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in swagger["definitions"].items():
        for kind in schema.get(_KIND, []):
            group = kind["group"] or kind["version"]  # as kubeconform calls the core group
            file = f"{kind['kind']}-{group}-{kind['version']}.json".lower()
            (fresh / file).write_text(json.dumps({"$ref": f"_definitions.json{_REF}{name}"}))
    try:
        fresh.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)
    return folder


def own_schemas(folder: Path) -> Path:
    """The schemas of the CRDs of this repository, as files for kubeconform."""
    for file in (ROOT / "crds").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            name = f"{spec['names']['kind']}-{spec['group']}-{version['name']}.json".lower()
            schema = _strict(version["schema"]["openAPIV3Schema"], "")
            (folder / name).write_text(json.dumps(schema))
    return folder


def _module(release: str) -> Path:
    go = shutil.which("go")
    if go is None:
        reason = "no schemas of Kubernetes: they come as a Go module, and there is no `go`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    ran = subprocess.run(
        [go, "mod", "download", "-json", f"k8s.io/kubernetes@{release}"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=build.RECIPES,
    )
    assert not ran.returncode, ran.stdout + ran.stderr
    return Path(json.loads(ran.stdout)["Dir"])


def _strict(schema: Any, prefix: str) -> Any:
    """The schema with unknown fields refused wherever its fields are listed."""
    if isinstance(schema, list):
        return [_strict(each, prefix) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return _INT_OR_STRING
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            found[key] = prefix + value.removeprefix(_REF)
        elif key in {"properties", "definitions"}:
            found[key] = {name: _strict(each, prefix) for name, each in value.items()}
        elif key in {"enum", "required", "default"}:
            found[key] = value
        else:
            found[key] = _strict(value, prefix)
    listed = "properties" in schema and "additionalProperties" not in schema
    if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found

"""The generated CRDs: up to date, documented, bounded, and valid to the API server's own code."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from signalbox_api.crd import definition, files, main, render
from signalbox_api.generated import differences
from signalbox_api.kinds import ALL_KINDS, KINDS

CRDS = Path(__file__).parents[2] / "crds"
MANIFESTS = CRDS.parent / "manifests"


EVERY = {kind.name: kind for kind in ALL_KINDS}


def _schema(kind: str) -> dict[str, Any]:
    version = definition(EVERY[kind])["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]
    return schema


def _fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, item in schema.get("properties", {}).items():
        yield from _fields(f"{path}.{name}", item)
    if "items" in schema:
        yield from _fields(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from _fields(f"{path}.*", schema["additionalProperties"])


ALL_FIELDS = [
    pytest.param(path, schema, id=path)
    for kind in EVERY
    for part in ("spec", "status")
    for path, schema in _fields(f"{kind}.{part}", _schema(kind)[part])
]


def test_the_committed_files_are_what_the_types_generate() -> None:
    assert differences(files(), CRDS, "the types") == []


def test_check_names_what_is_missing_different_or_left_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "agents.yaml").unlink()
    (tmp_path / "budgets.yaml").write_text("kind: Other\n")
    (tmp_path / "wishes.yaml").write_text("kind: Other\n")
    assert main(["--check", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "agents.yaml is missing" in said
    assert "budgets.yaml differs" in said
    assert "wishes.yaml is left over" in said
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0, "what it names is put right by writing again"


@pytest.mark.parametrize("kind", EVERY)
def test_the_file_says_exactly_the_definition_to_any_yaml_parser(kind: str) -> None:
    assert yaml.safe_load(render(EVERY[kind])) == definition(EVERY[kind])


@pytest.mark.parametrize("name", files())
def test_no_plain_word_in_a_file_can_be_read_as_a_boolean(name: str) -> None:
    for line in files()[name].splitlines():
        word = line.strip().removeprefix("- ").split(":")[0]
        assert word.lower() not in {"y", "n", "yes", "no", "on", "off"}, line


@pytest.mark.parametrize("name", files())
def test_every_file_stays_far_below_the_size_that_an_apply_can_store(name: str) -> None:
    assert len(files()[name].encode()) < 200 * 1024


@pytest.mark.parametrize(("path", "schema"), ALL_FIELDS)
def test_every_field_tells_kubectl_explain_what_it_means(path: str, schema: dict[str, Any]) -> None:
    if path.endswith(("[]", ".*")):
        return
    text = schema.get("description", "")
    assert len(text) > 10, path
    assert text[-1] in ".;", path
    assert "\n" not in text


@pytest.mark.parametrize(("path", "schema"), ALL_FIELDS)
def test_every_field_is_bounded(path: str, schema: dict[str, Any]) -> None:
    if "enum" in schema or schema.get("type") == "boolean":
        return
    if schema.get("x-kubernetes-int-or-string"):
        wanted = {"pattern", "maxLength", "minimum", "maximum"}
    else:
        wanted = {
            "string": {"maxLength"},
            "integer": {"minimum"},
            "array": {"maxItems", "x-kubernetes-list-type"},
            "object": {"properties"} if "properties" in schema else {"maxProperties"},
        }[schema["type"]]
    assert wanted <= schema.keys(), path


@pytest.mark.parametrize("kind", KINDS)
def test_kubectl_finds_the_kind_by_short_name_and_category(kind: str) -> None:
    names = definition(KINDS[kind])["spec"]["names"]
    assert names["categories"] == ["signalbox"]
    assert len(names["shortNames"]) == 1
    version = definition(KINDS[kind])["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    titles = [column["name"] for column in version["additionalPrinterColumns"]]
    assert {"Accepted", "Programmed", "Reason", "Age"} <= set(titles)


def test_short_names_are_unique() -> None:
    names = [kind.short for kind in ALL_KINDS]
    assert len(set(names)) == len(names)


def test_every_column_shows_a_field_that_exists() -> None:
    for kind, described in EVERY.items():
        paths = {path.replace("[]", "") for path, _ in _fields("", {"properties": _schema(kind)})}
        for column in described.columns:
            path = column.path.split("[?")[0]
            assert path in paths | {".metadata.creationTimestamp"}, (kind, column)


def test_the_api_server_accepts_every_definition_with_its_rules_and_their_cost(
    crdcheck: Path,
) -> None:
    said = subprocess.run(
        [crdcheck, "crds", CRDS], capture_output=True, text=True, check=False, timeout=120
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count(" ok") == len(ALL_KINDS)


def test_the_api_server_accepts_every_manifest_that_comes_along(crdcheck: Path) -> None:
    manifests = sorted(MANIFESTS.glob("*/*.yaml"))
    said = subprocess.run(
        [crdcheck, "objects", CRDS, *manifests],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_api_server_accepts_the_status_that_signalbox_writes(
    judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> None:
    status = {
        "observedGeneration": 2,
        "servingGeneration": 1,
        "conditions": [
            {
                "type": "Accepted",
                "status": "False",
                "reason": "RefNotFound",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 2,
            }
        ],
    }
    cases = [{"new": complete(kind) | {"status": status}} for kind in KINDS]
    assert judge(cases) == [[] for _ in cases], json.dumps(cases)

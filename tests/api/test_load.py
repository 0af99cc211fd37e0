"""The loader: what it reads, what it says, and what hostile input cannot do to it."""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox_api import Budget, Domain, Resource
from signalbox_api.conditions import Reason
from signalbox_api.load import Found, Loaded, read_object, read_paths, read_text
from signalbox_api.problems import Problem
from signalbox_api.yaml_reader import MAX_FILE_BYTES, documents

DOMAIN = """\
apiVersion: signalbox.dev/v1alpha1
kind: Domain
metadata: {name: %s}
spec: {ownerTeam: retail, focusAccount: "6410"}
"""
BUDGET = """\
apiVersion: signalbox.dev/v1alpha1
kind: Budget
metadata: {name: day, namespace: retail}
spec:
  scope: {all: true}
  limit: {usd: %s}
  window: {every: day}
"""


def _names(loaded: Loaded) -> list[str]:
    return [item.metadata.name for item in loaded.resources]


def _only(loaded: Loaded) -> Problem:
    (problem,) = loaded.problems
    return problem


def _spec(lines: str) -> Loaded:
    head = "apiVersion: signalbox.dev/v1alpha1\nkind: Domain\nmetadata: {name: a}\n"
    return read_text(f"{head}spec:\n{lines}", "a.yaml")


def test_documents_of_one_file_become_objects_in_order() -> None:
    text = f"{DOMAIN % 'a'}---\n# nothing here\n---\n{DOMAIN % 'b'}...\n---\n{BUDGET % 5}"
    loaded = read_text(text, "x.yaml")
    assert loaded.problems == ()
    assert [str(item.key) for item in loaded.resources] == [
        "Domain default/a",
        "Domain default/b",
        "Budget retail/day",
    ]
    assert [item.line for item in loaded.found] == [1, 8, 14]
    budget = loaded.resources[2]
    assert isinstance(budget, Budget)
    assert budget.spec.limit.usd == "5"


def test_objects_without_a_namespace_belong_to_the_given_one() -> None:
    (domain,) = read_text(DOMAIN % "a", "x.yaml", namespace="team").resources
    assert domain.key.namespace == "team"


def test_json_and_lists_are_read_too() -> None:
    (domain,) = read_text(DOMAIN % "a", "x.yaml").resources
    items = [domain.manifest(), {"apiVersion": "v1", "kind": "Secret"}, {"kind": "Domain"}]
    for kind in ("List", "DomainList"):
        text = json.dumps({"apiVersion": "v1", "kind": kind, "items": items})
        loaded = read_text(text, "x.json")
        assert loaded.resources == (domain,)
        assert _only(loaded).path == "apiVersion"


def test_objects_of_others_are_left_alone() -> None:
    others = (
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nspec: {weird: NaN, replicas: 1.5, empty: }\n"
    )
    assert read_text(others, "x.yaml") == Loaded((), ())


def test_a_directory_is_read_in_order_without_hidden_and_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "20.yml").write_text(DOMAIN % "c")
    (tmp_path / "10").mkdir()
    (tmp_path / "10" / "x.yaml").write_text(DOMAIN % "b")
    (tmp_path / "00.yaml").write_text(DOMAIN % "a")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("broken: [")
    (tmp_path / ".hidden.yaml").write_text("broken: [")
    (tmp_path / "README.md").write_text("broken: [")
    os.mkfifo(tmp_path / "pipe.yaml")
    loaded = read_paths([tmp_path])
    assert sorted(_names(loaded)) == ["a", "b", "c"]
    assert loaded.problems == ()
    assert loaded == read_paths([tmp_path])


def test_a_missing_file_is_a_problem_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DOMAIN % "a")
    loaded = read_paths([tmp_path / "none.yaml", tmp_path / "a.yaml"])
    assert _names(loaded) == ["a"]
    assert "cannot be read: No such file" in str(_only(loaded))


def test_a_file_name_that_is_no_text_is_told_as_well_as_it_can_be(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.yaml"
    Path(os.fsdecode(name)).write_text(DOMAIN % "one")
    (found,) = read_paths([tmp_path]).found
    assert found.file == f"{tmp_path}/\ufffd.yaml"


@pytest.mark.parametrize(
    "broken",
    [
        "a: [1",
        "a: b: c",
        "\ta: 1",
        "a: 'x",
        "- 1",
        "word",
        "{}",
        "a: *nowhere",
        "&a [*a]",
        "a: 1\na: 2",
        "? [a]\n: 1",
        "<<: 3",
        "a: \x00",
        "a: !!python/object/apply:os.system ['true']",
        "a: !!binary aGk=",
        "%YAML 9.9",
        "a: " + "[" * 5000,
        "a: &a [1, 2]\nkind: *a\n*a : 1",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_one_bad_document_hides_no_other(broken: str) -> None:
    loaded = read_text(f"{DOMAIN % 'a'}---\n{broken}\n---\n{DOMAIN % 'b'}", "x.yaml")
    assert _names(loaded) == ["a", "b"]
    assert len(loaded.problems) >= 1
    for problem in loaded.problems:
        assert 6 <= problem.line <= 9
        assert problem.message
        assert problem.fix


def test_an_invalid_object_hides_no_other_and_is_named() -> None:
    loaded = read_text(f"{BUDGET % 0.20}---\n{DOMAIN % 'a'}", "x.yaml")
    assert _names(loaded) == ["a"]
    problem = _only(loaded)
    assert dataclasses.astuple(problem)[:6] == (
        "x.yaml",
        6,
        "Budget",
        "retail",
        "day",
        "spec.limit.usd",
    )
    assert problem.reason is Reason.INVALID


def test_money_with_a_point_and_no_quotes_is_quoted_as_it_was_written() -> None:
    problem = _only(read_text(BUDGET % "0.20", "x.yaml"))
    assert problem.message == "0.20 is a number"
    assert problem.fix == 'write it as text: "0.20"'


_OK = "focusAccount: b"
_LOCK = f"{_OK}, residency: {{jurisdictions"
_WHERE = "residency.jurisdictions"
_CLASS = f"{_OK}, defaultSensitivity"


@pytest.mark.parametrize(
    ("fields", "path", "message", "fix"),
    [
        ("", "focusAccount", "is missing", "add it (Account to which charges"),
        ("focusAccount: 6410", "focusAccount", "6410 is a number", '"6410"'),
        ("focusAccount: true", "focusAccount", "true is true or false", '"true"'),
        ("focusAccount: 0123", "focusAccount", "read as another number", '"0123"'),
        ("focusAccount: 1_000", "focusAccount", "read as another number", '"1_000"'),
        ("focusAccount: 1e3", "focusAccount", "1e3 is a number", '"1e3"'),
        ("focusAccount: " + "9" * 40, "focusAccount", "is a number", '"999'),
        ("focusAccount: " + "x" * 129, "focusAccount", "is too long", "at most 128"),
        ("focusAccount: b, focusAccount: c", "focusAccount", "twice", "keep one"),
        ("focusAccount: b, focus_account: c", "focus_account", "not a known", "focusAccount"),
        ("focusAccount: b, color: c", "color", "not a known", "known here: allowed"),
        ("focusAccount: b, y: c", "y", "y without quotes", 'write "y"'),
        (f"{_OK}, parent: ", "parent", "is empty", "remove the line"),
        (f"{_OK}, parent: Big", "parent", '"Big" does not fit', "lower case"),
        (f"{_OK}, allowedNamespaces: x", "allowedNamespaces", "not a list", "[a, b]"),
        (f"{_OK}, allowedNamespaces: [x, x]", "allowedNamespaces", "twice", "remove one"),
        (f"{_OK}, residency: EU", "residency", '"EU" is not a map', "jurisdictions"),
        (f"{_LOCK}: []}}", f"{_WHERE}", "is empty", "add an item"),
        (f"{_LOCK}: [DE, UK]}}", f"{_WHERE}[1]", "'UK' is not a known", "write GB"),
        (f"{_LOCK}: [NO]}}", f"{_WHERE}[0]", "NO without quotes", 'write "NO"'),
        (f"{_LOCK}: [de]}}", f"{_WHERE}[0]", "'de' is not a known", "write DE"),
        (f"{_CLASS}: Internal", "defaultSensitivity", '"Internal" is not known', "write internal"),
        (f"{_CLASS}: secret", "defaultSensitivity", "not known", "one of public, internal, conf"),
    ],
)
def test_a_problem_names_field_value_and_fix(
    fields: str, path: str, message: str, fix: str
) -> None:
    problem = _only(_spec(f"  {{ownerTeam: a, {fields}}}"))
    assert problem.path == f"spec.{path}"
    assert message in problem.message
    assert fix in problem.fix
    assert str(problem).startswith(f"a.yaml:{problem.line}: Domain default/a: spec.{path}: ")
    assert problem.line == (4 if message == "is missing" else 5)


@pytest.mark.parametrize(
    ("head", "path", "fix"),
    [
        ("kind: Domain", "apiVersion", "write apiVersion: signalbox.dev/v1alpha1"),
        ("apiVersion: signalbox.dev/v1\nkind: Domain", "apiVersion", "signalbox.dev/v1alpha1"),
        ("apiVersion: signalbox.dev/v1alpha1", "kind", "write one of Agent, Budget"),
        ("apiVersion: signalbox.dev/v1alpha1\nkind: domains", "kind", "write Domain"),
        ("apiVersion: signalbox.dev/v1alpha1\nkind: [x]", "kind", "write one of"),
        ("apiVersion: signalbox.dev/v1alpha1\nkind: Domain", "metadata", "add it"),
    ],
)
def test_what_is_no_object_of_ours_is_told_how_to_become_one(
    head: str, path: str, fix: str
) -> None:
    text = f"{head}\nspec: {{ownerTeam: a, focusAccount: b}}\n"
    problem = _only(read_text(text, "x.yaml"))
    assert problem.path == path
    assert fix in problem.fix


def test_an_object_given_twice_counts_once_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DOMAIN % "a")
    (tmp_path / "b.yaml").write_text((DOMAIN % "a").replace("retail", "other"))
    loaded = read_paths([tmp_path])
    (domain,) = loaded.resources
    assert isinstance(domain, Domain)
    assert domain.spec.owner_team == "retail"
    problem = _only(loaded)
    assert problem.reason is Reason.DUPLICATE
    assert problem.file.endswith("b.yaml")
    assert "a.yaml:1" in problem.message


def test_anchors_and_merge_keys_work_as_in_kubectl() -> None:
    text = """\
apiVersion: signalbox.dev/v1alpha1
kind: DataAsset
metadata: {name: a}
spec:
  domain: &own wealth
  <<: {sensitivity: public, location: *own}
  sensitivity: regulated
"""
    (asset,) = read_text(text, "x.yaml").resources
    assert asset.manifest()["spec"] == {
        "domain": "wealth",
        "sensitivity": "regulated",
        "location": "wealth",
    }


def test_values_near_credentials_are_never_quoted() -> None:
    secret = "sk-live-0123456789%"
    text = f"""\
apiVersion: signalbox.dev/v1alpha1
kind: Agent
metadata: {{name: a}}
spec:
  domain: wealth
  maxSensitivity: public
  credentials:
    keys:
    - {{name: k, sha256: {secret}, lookup: [{secret}], secret: {secret}}}
    - {secret}
"""
    loaded = read_text(text, "x.yaml")
    assert len(loaded.problems) == 4
    assert secret not in "".join(map(str, loaded.problems))
    assert secret not in repr(loaded)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    started = time.process_time()
    loaded = read_text("\n".join(lines), "x.yaml")
    assert "more than 250000 values" in _only(loaded).message
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 500_000,
        "- " * 1_000_000,
        "a: " + "'" * 2_000_001,
        "a: " + "&a " * 300_000,
        "!" * 1_000_000,
        "? " * 300_000,
        "a: [" + "x, " * 1_000_000,
        "---\n" * 500_000,
        "\n" * 2_000_000 + "a: [",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_megabytes_of_nonsense_cost_seconds_at_most(text: str) -> None:
    started = time.process_time()
    read_text(text, "x.yaml")
    assert time.process_time() - started < 20


def test_a_file_that_is_too_large_or_not_utf8_is_a_problem() -> None:
    assert "larger than 8 MiB" in _only(read_text(b"#" * (MAX_FILE_BYTES + 1), "x")).message
    assert "not UTF-8 at byte 3" in _only(read_text(b"a: \xff", "x")).message
    assert read_text(b"\xef\xbb\xbf" + (DOMAIN % "a").encode(), "x").problems == ()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,?~ \n\t0.<yn\x00é", max_size=60))
def test_no_text_makes_the_loader_raise(text: str) -> None:
    loaded = read_text(f"{text}\n---\n{DOMAIN % 'a'}", "x.yaml")
    assert _names(loaded) == ["a"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["Agent", "Budget", "DataAsset", "Domain", "Model", "RoutePolicy"]),
    metadata=_JSON,
    spec=_JSON,
    status=_JSON,
)
def test_no_data_makes_reading_an_object_raise(
    kind: str, metadata: Any, spec: Any, status: Any
) -> None:
    data = {"apiVersion": "signalbox.dev/v1alpha1", "kind": kind, "metadata": metadata}
    result = read_object(data | {"spec": spec, "status": status})
    assert isinstance(result, Resource) or all(problem.fix for problem in result)


@settings(max_examples=100, deadline=None)
@given(_JSON.filter(lambda value: isinstance(value, dict)))
def test_the_reader_reads_json_as_json_does(value: Any) -> None:
    text = json.dumps(value, allow_nan=False) if _finite(value) else "{}"
    read = list(documents(text))
    wanted = json.loads(text)
    assert [document.value for document in read if not document.faults] in ([wanted], [])
    for document in read:
        for fault in document.faults:
            assert "not YAML" in fault.message or "<<" in fault.message


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def test_an_object_of_the_api_server_keeps_its_status_and_metadata() -> None:
    data = {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": "Domain",
        "metadata": {
            "name": "a",
            "namespace": "team",
            "uid": "0b8c",
            "generation": 3,
            "resourceVersion": "77",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
            "finalizers": ["x"],
        },
        "spec": {"ownerTeam": "retail", "focusAccount": "6410"},
        "status": {"observedGeneration": 2, "servingGeneration": 1, "later": True},
    }
    domain = read_object(data)
    assert isinstance(domain, Domain)
    assert domain.metadata.generation == 3
    assert domain.status is not None
    assert domain.status.serving_generation == 1
    bad_status = read_object(data | {"status": {"observedGeneration": "x"}})
    assert isinstance(bad_status, Domain)
    assert bad_status.status is None


def test_a_status_in_a_manifest_is_not_what_people_want() -> None:
    (found,) = read_text(DOMAIN % "a" + "status: {observedGeneration: x}\n", "x.yaml").found
    assert isinstance(found, Found)
    assert isinstance(found.resource, Domain)
    assert found.resource.status is None


def test_five_hundred_agents_load_in_a_moment() -> None:
    agent = (
        "apiVersion: signalbox.dev/v1alpha1\nkind: Agent\nmetadata: {name: a%d}\n"
        "spec: {domain: wealth, maxSensitivity: public}\n---\n"
    )
    started = time.process_time()
    loaded = read_text("".join(agent % number for number in range(500)), "x.yaml")
    assert len(loaded.found) == 500
    assert time.process_time() - started < 5

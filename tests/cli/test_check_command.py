"""`signalbox check` names what is wrong, where, and what to do; its exit code can be trusted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from support.running import QUICKSTART

BROKEN = Path(__file__).parent / "broken"
GOLDEN = (BROKEN / "findings.txt").read_text()


def test_each_finding_is_one_line_with_file_object_field_reason_and_fix(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BROKEN)
    result = command("check", ".")
    assert result.exit_code == 1
    assert result.output == GOLDEN


def test_json_says_the_same_for_programs(command: Callable[..., Result]) -> None:
    result = command("check", str(BROKEN), "-o", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["errors"], found["warnings"]) == (4, 0)
    first = found["findings"][0]
    assert (first["kind"], first["name"], first["field"]) == ("Agent", "bot", "spec.domain")
    assert first["reason"] == "RefNotFound"
    assert "compny" in first["message"]
    assert "company" in first["fix"]


def test_valid_manifests_pass(command: Callable[..., Result]) -> None:
    result = command("check", str(QUICKSTART))
    assert result.exit_code == 0
    assert result.output == "21 valid objects in 4 files: 0 errors, 0 warnings\n"


def test_notes_that_need_no_action_are_shown_when_asked_for(
    command: Callable[..., Result],
) -> None:
    assert " info: " in command("check", "--verbose", str(QUICKSTART)).output


def test_syntax_alone_does_not_ask_for_what_an_object_names(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    lonely = tmp_path / "agent.yaml"
    lonely.write_text(
        "apiVersion: signalbox.dev/v1alpha1\nkind: Agent\nmetadata: {name: a, namespace: b}\n"
        "spec: {domain: elsewhere, maxSensitivity: internal}\n"
    )
    assert command("check", "--syntax", str(lonely)).exit_code == 0
    assert command("check", str(lonely)).exit_code == 1


def test_warnings_fail_only_when_asked_to(command: Callable[..., Result], tmp_path: Path) -> None:
    for path in QUICKSTART.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "impossible.yaml").write_text(
        "apiVersion: signalbox.dev/v1alpha1\nkind: RoutePolicy\n"
        "metadata: {name: impossible, namespace: retail}\n"
        "spec: {constraints: {regions: [antarctica]}}\n"
    )
    assert command("check", str(tmp_path)).exit_code == 0
    strict = command("check", "--strict", str(tmp_path))
    assert strict.exit_code == 1
    assert "warning: RoutePolicy retail/impossible" in strict.output


def test_a_folder_that_is_not_there_is_a_wrong_command_line(
    command: Callable[..., Result],
) -> None:
    assert command("check", "no-such-folder").exit_code == 2


def test_an_empty_folder_passes_and_says_so(command: Callable[..., Result], tmp_path: Path) -> None:
    result = command("check", str(tmp_path))
    assert result.exit_code == 0
    assert "No objects of signalbox.dev" in result.stderr

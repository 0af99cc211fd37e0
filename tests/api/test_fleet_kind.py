"""The Fleet is written by the operator alone: nobody's manifests may bring one."""

from pathlib import Path

from signalbox_api.kinds import ALL_KINDS, FLEET, KINDS
from signalbox_api.load import read_paths

MANIFEST = """\
apiVersion: signalbox.dev/v1alpha1
kind: Fleet
metadata: {name: signalbox, namespace: signalbox-system}
spec: {}
"""


def test_a_fleet_in_a_manifest_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(MANIFEST)
    loaded = read_paths([tmp_path])
    assert loaded.resources == ()
    (problem,) = loaded.problems
    assert (problem.path, problem.message) == ("kind", "'Fleet' is not written by people")
    assert problem.fix == "remove it: the operator writes it, and nothing of it is read from here"


def test_it_is_a_kind_of_the_api_server_and_none_that_people_write() -> None:
    assert FLEET.name not in KINDS
    assert {kind.name for kind in ALL_KINDS} == {*KINDS, "Fleet"}

"""The planted bugs in short: there is one of each kind, and each still fits the tree.

That the suite catches them is shown by `run.py` beside this file, at the end of `make prove`.
"""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from support.patched_trees import ROOT, read

HERE = Path(__file__).parent
PATCHES = sorted(HERE.glob("*.patch"))


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_run", HERE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_bug_of_each_kind(runner: ModuleType) -> None:
    kinds = [read(path, "kind", "bug").head["kind"] for path in PATCHES]
    assert sorted(kinds) == sorted(runner.KINDS)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_a_planted_bug_applies_to_the_tree(path: Path) -> None:
    command = ["git", "apply", "--check", "--recount", str(path)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, (
        f"{checked.stderr}: write {path.name} anew for the code as it is"
    )


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ((3,), "3"),
        ((0,), "-"),
        ((1, 5, 2), "2 (1 to 5)"),
        ((1, 0, 4), "2.5 (1 to 4), 2 times"),
    ],
)
def test_seeds_to_catch_are_told_with_their_spread(
    runner: ModuleType, seeds: tuple[int, ...], text: str
) -> None:
    assert runner.Verdict(seeds, "simulation", "", 0.0).seeds_text == text

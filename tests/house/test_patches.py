"""Patches that break promises on purpose fit the code of today: `make mutants` takes minutes."""

import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PATCHES = sorted([*TESTS.glob("mutants/*.patch"), *TESTS.glob("planted/*.patch")])


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_patch_applies(patch: Path) -> None:
    checked = subprocess.run(
        ["git", "apply", "--check", "--recount", str(patch)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr

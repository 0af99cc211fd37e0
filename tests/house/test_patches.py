"""Patches that break promises on purpose fit the code of today: `make mutants` takes minutes."""

import re
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


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_tests_that_a_patch_names_exist(patch: Path) -> None:
    (named,) = re.findall(r"^caught-by: (.+)$", patch.read_text(), re.MULTILINE) or [""]
    for name in named.split():
        file, _, test = name.partition("::")
        assert (TESTS.parent / file).is_file(), file
        function = f"def {test.partition('[')[0]}("
        assert not test or function in (TESTS.parent / file).read_text(), name

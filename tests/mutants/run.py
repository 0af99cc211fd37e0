"""Breaks each promise on purpose and shows that a test goes red.

Each `*.patch` beside this file is a unified diff that breaks one promise, with a head of its own:

    promise: what is broken, in one sentence
    caught-by: tests/area/test_file.py::test_name [more tests]

The patch is applied to a copy of the tree and the named tests run there. Caught means that pytest
ran and at least one test failed; a patch that no longer applies, a test that does not exist or a
test that stays green is an error of this suite. Run: `make mutants`, or with names to run some.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TESTS_FAILED = 1  # pytest's exit code: it ran, and some failed
PACKAGE_FOLDERS = ("crds", "operator", "proxy")
LIMIT_S = 300


@dataclass(frozen=True)
class Mutant:
    """One broken promise: its patch and the tests that must notice."""

    name: str
    promise: str
    caught_by: tuple[str, ...]
    path: Path


def read(path: Path) -> Mutant:
    """Parses the head of a patch file; raises SystemExit naming what is missing."""
    head: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith(("--- ", "diff ")):
            break
        key, colon, value = line.partition(": ")
        if colon:
            head[key.strip()] = value.strip()
    missing = {"promise", "caught-by"} - head.keys()
    if missing:
        sys.exit(f"{path.name}: the head lacks {', '.join(sorted(missing))}")
    return Mutant(path.stem, head["promise"], tuple(head["caught-by"].split()), path)


def copy_tree(target: Path) -> None:
    """Copies what git knows or would know of, so that no state of this machine leaks in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def judge(mutant: Mutant) -> str:
    """Applies the patch to a copy, runs the tests; returns '' when caught, else what is wrong."""
    with tempfile.TemporaryDirectory(prefix="signalbox-mutant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        applied = subprocess.run(
            ["git", "apply", "--recount", str(mutant.path)],
            cwd=tree,
            capture_output=True,
            text=True,
        )
        if applied.returncode:
            return f"does not apply: {applied.stderr.strip().splitlines()[0]}"
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(str(tree / each) for each in PACKAGE_FOLDERS),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--no-header",
            "-p",
            "no:cacheprovider",
        ]
        try:
            ran = subprocess.run(
                [*command, *mutant.caught_by],
                cwd=tree,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return f"the tests did not end within {LIMIT_S} s"
        if ran.returncode == TESTS_FAILED and " failed" in ran.stdout:
            return ""
        last = (ran.stdout.strip() or ran.stderr.strip() or "no output").splitlines()[-1]
        return f"survived: {last}"


def main() -> None:
    """Runs all mutants, or those named; exit code 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names of patches, without .patch")
    wanted = set(parser.parse_args().names)
    mutants = [read(path) for path in sorted(HERE.glob("*.patch"))]
    chosen = [each for each in mutants if not wanted or each.name in wanted]
    survivors = 0
    for mutant in chosen:
        began = time.monotonic()
        trouble = judge(mutant)
        survivors += bool(trouble)
        state = trouble or "caught"
        print(f"{mutant.name:<34} {time.monotonic() - began:5.1f} s  {state}", flush=True)
        print(f"{'':<34}          {mutant.promise}", flush=True)
    print(f"mutants={len(chosen)}")
    print(f"mutants_caught={len(chosen) - survivors}")
    sys.exit(1 if survivors or not chosen else 0)


if __name__ == "__main__":
    main()

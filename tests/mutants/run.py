"""Breaks each promise on purpose and shows that a test goes red.

Each `*.patch` beside this file is a unified diff that breaks one promise, with a head of its own:

    promise: what is broken, in one sentence
    caught-by: tests/area/test_file.py::test_name [more tests]

The patch is applied to a copy of the tree and the named tests run there. Caught means that pytest
ran and at least one test failed; a patch that no longer applies, a test that does not exist, one
that stays green or one that is red without any patch is an error of this suite. Run:
`make mutants`, or with names to run some.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TESTS_FAILED = 1  # pytest's exit code: it ran, and some failed
PACKAGE_FOLDERS = ("crds", "operator", "proxy")
LIMIT_S = 300
OPTIONS = ("-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", "not proof")
AT_ONCE = 2  # each waits more than it computes: processes to start, deadlines to pass


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


def run_tests(tree: Path, names: Iterable[str]) -> tuple[int, str]:
    """Runs tests in a tree of their own; pytest's exit code and the end of what it says."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(tree / each) for each in PACKAGE_FOLDERS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS, *names],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return -1, f"the tests did not end within {LIMIT_S} s"
    said = (ran.stdout.strip() or ran.stderr.strip() or "no output").splitlines()
    return ran.returncode, "\n".join(said[-2:] if ran.returncode else said[-1:])


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
        code, last = run_tests(tree, mutant.caught_by)
    return "" if code == TESTS_FAILED and " failed" in last else f"survived: {last}"


def judge_tests(mutants: Iterable[Mutant]) -> str:
    """Whether every test that is named passes without a patch: '' if so, else what is wrong.

    A test that is red anyway catches nothing.
    """
    with tempfile.TemporaryDirectory(prefix="signalbox-mutant-") as folder:
        copy_tree(Path(folder))
        names = sorted({name for mutant in mutants for name in mutant.caught_by})
        code, last = run_tests(Path(folder), names)
    return "" if code == 0 else f"red without any patch: {last}"


def timed(mutant: Mutant) -> tuple[str, float]:
    """What `judge` says, and the seconds that it took."""
    began = time.monotonic()
    return judge(mutant), time.monotonic() - began


def report(name: str, took_s: float, state: str, promise: str) -> None:
    """Prints one verdict."""
    print(f"{name:<36} {took_s:5.1f} s  {state}\n{'':<36}          {promise}", flush=True)


def main() -> None:
    """Runs all mutants, or those named; exit code 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names of patches, without .patch")
    wanted = set(parser.parse_args().names)
    mutants = [read(path) for path in sorted(HERE.glob("*.patch"))]
    chosen = [each for each in mutants if not wanted or each.name in wanted]
    survivors = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        unharmed = pool.submit(judge_tests, chosen)
        for mutant, (trouble, took_s) in zip(chosen, pool.map(timed, chosen), strict=True):
            survivors += bool(trouble)
            report(mutant.name, took_s, trouble or "caught", mutant.promise)
    trouble = unharmed.result()
    print(f"mutants={len(chosen)}")
    print(f"mutants_caught={len(chosen) - survivors}")
    sys.exit(trouble or (1 if survivors or not chosen else 0))


if __name__ == "__main__":
    main()

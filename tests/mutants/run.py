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
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.patched_trees import (  # noqa: E402  the folder that this file stands in
    Patch,
    PatchError,
    TreePool,
    is_caught,
    read,
    run_tests,
)

AT_ONCE = 3  # each waits more than it computes: processes to start, deadlines to pass
ALL_TESTS_S = 2400


def judge(mutant: Patch, trees: TreePool) -> str:
    """Applies the patch to a copy, runs the tests; returns '' when caught, else what is wrong."""
    try:
        with trees.tree_with(mutant) as tree:
            code, last = run_tests(tree, mutant.caught_by)
    except PatchError as error:
        return str(error)
    return "" if is_caught(code, last) else f"survived: {last}"


def judge_tests(mutants: Iterable[Patch], trees: TreePool) -> str:
    """Whether every test that is named passes without a patch: '' if so, else what is wrong.

    A test that is red anyway catches nothing.
    """
    names = sorted({name for mutant in mutants for name in mutant.caught_by})
    with trees.tree_with(None) as tree:
        code, last = run_tests(tree, names, limit_s=ALL_TESTS_S, is_broken=False)
    return "" if code == 0 else f"red without any patch: {last}"


def timed(mutant: Patch, trees: TreePool) -> tuple[str, float]:
    """What `judge` says, and the seconds that it took."""
    began = time.monotonic()
    return judge(mutant, trees), time.monotonic() - began


def report(name: str, took_s: float, state: str, promise: str) -> None:
    """Prints one verdict."""
    print(f"{name:<36} {took_s:5.1f} s  {state}\n{'':<36}          {promise}", flush=True)


def main() -> None:
    """Runs all mutants, or those named; exit code 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names of patches, without .patch")
    wanted = set(parser.parse_args().names)
    mutants = [read(path, "promise", "caught-by") for path in sorted(HERE.glob("*.patch"))]
    chosen = [each for each in mutants if not wanted or each.name in wanted]
    survivors = 0
    with TreePool() as trees, ThreadPoolExecutor(AT_ONCE) as pool:
        unharmed = pool.submit(judge_tests, chosen, trees)
        judged = pool.map(partial(timed, trees=trees), chosen)
        for mutant, (trouble, took_s) in zip(chosen, judged, strict=True):
            survivors += bool(trouble)
            report(mutant.name, took_s, trouble or "caught", mutant.head["promise"])
    trouble = unharmed.result()
    print(f"mutants={len(chosen)}")
    print(f"mutants_caught={len(chosen) - survivors}")
    sys.exit(trouble or (1 if survivors or not chosen else 0))


if __name__ == "__main__":
    main()

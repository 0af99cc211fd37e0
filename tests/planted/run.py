"""Brings known bugs back on purpose, and counts the seeds until the simulation catches each.

    python tests/planted/run.py [--nightly] [NAME ...]

Budgets of other gateways were overspent, or refused what they could have paid, in seventeen kinds
of ways that are told in public; `KINDS` lists them. Each `*.patch` beside this file brings the bug
of one kind back into our code, where it would most plausibly stand, with a head of its own:

    kind: one of KINDS
    bug: what is brought back, in one sentence
    caught-by: tests that catch it besides the simulation, if there are any

The patch is applied to a copy of the tree and the simulation (`tests/simulation/run.py`) runs
there, seed by seed, until it says that a promise is broken. Where none of the seeds says so the
named tests run instead. The same seeds and tests must pass without any patch. With --nightly seeds
are longer and each bug is sought several times, from different first seeds: the table shows the
median and the range. Exit code 1 where a bug is not caught by anything, or where a tree without
a patch fails what caught one.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.figures import tell  # noqa: E402  the folder that this file stands in
from support.patched_trees import (  # noqa: E402
    Patch,
    PatchError,
    TreePool,
    environment_of,
    is_caught,
    read,
    run_tests,
)

KINDS = {
    "check-then-act race": "parallel requests read one balance, and all pass",
    "pod-local reads": "each process counts by figures of its own; the limit is multiplied",
    "first-use race": "the first requests of a new customer pass without its budget",
    "early return before the check": "one way through the code ends before the budget is asked",
    "fail-open on store failure": "a store that does not answer lets everything pass",
    "leaked hold": "a hold is never given back, and refuses others for ever",
    "worst-case holds starve bursts": "what is held at worst counts as spent",
    "sweeper beats live stream": "a hold is released by time while its stream lives",
    "disconnect not billed": "a client that leaves pays nothing",
    "disconnect over-billed": "a usage of zero is replaced by an estimate",
    "duplicate charge": "one request is charged twice",
    "fallback mispriced": "an attempt is priced as the one before it",
    "negative cost": "more cached tokens than prompt make a cost that is dropped",
    "reservation under-priced": "a dearer tier is billed than was held",
    "period reset": "spend is wiped although the period has not ended",
    "per-node period state": "the period follows the clock of one machine",
    "lost on shutdown": "a process that is stopped forgets what it had not written",
}
AT_ONCE = 2


@dataclass(frozen=True)
class Plan:
    """How hard to look: seeds from each of `first_seeds`, and events of each seed."""

    seeds: int
    events: int
    first_seeds: tuple[int, ...]
    limit_s: int


QUICK = Plan(seeds=60, events=6_000, first_seeds=(1,), limit_s=1_200)
NIGHTLY = Plan(seeds=150, events=20_000, first_seeds=(1, 1001, 2001, 3001, 4001), limit_s=3600)


@dataclass(frozen=True)
class Verdict:
    """What became of one planted bug: how many seeds it took from each first seed (0: none of them
    caught it), or why it was not caught."""

    seeds: tuple[int, ...]
    by: str
    told: str
    took_s: float

    @property
    def is_caught(self) -> bool:
        return bool(self.by)

    @property
    def seeds_text(self) -> str:
        """For the table."""
        found = [seeds for seeds in self.seeds if seeds]
        if len(found) <= 1:
            return str(found[0]) if found else "-"
        text = f"{statistics.median(found):g} ({min(found)} to {max(found)})"
        return text if len(found) == len(self.seeds) else f"{text}, {len(found)} times"


def simulate(tree: Path, plan: Plan, first_seed: int, *, processes: int = 1) -> tuple[int, str]:
    """Seeds until the simulation of that tree says that a promise is broken, and what it says;
    0 where none does. Raises PatchError where it does not run at all."""
    command = [
        *(sys.executable, "tests/simulation/run.py", "--until-caught"),
        *("--seeds", str(plan.seeds), "--events", str(plan.events)),
        *("--first-seed", str(first_seed), "--processes", str(processes)),
    ]
    ran = subprocess.run(
        command,
        cwd=tree,
        env=environment_of(tree),
        capture_output=True,
        text=True,
        timeout=plan.limit_s,
    )
    lines = ran.stdout.splitlines()
    for line in lines:
        if line.startswith("caught_after_seeds="):
            told = next((one.strip() for one in lines if one.startswith("    ")), "")
            return int(line.partition("=")[2]), told
    if ran.returncode or "simulation_failures=0" not in lines:
        raise PatchError(f"the simulation does not run: {ran.stderr.strip()[-300:]}")
    return 0, ""


def judge(patch: Patch, plan: Plan, pool: TreePool) -> Verdict:
    """Plant one bug and look for it."""
    began = time.monotonic()
    seeds: list[int] = []
    by = told = ""
    try:
        with pool.tree_with(patch) as tree:
            for first_seed in plan.first_seeds:
                found, what = simulate(tree, plan, first_seed)
                told = told or what
                seeds.append(found)
            if any(seeds):
                by = "simulation"
            elif patch.caught_by:
                code, told = run_tests(tree, patch.caught_by)
                by = "tests" if is_caught(code, told) else ""
    except (PatchError, subprocess.TimeoutExpired) as error:
        seeds, by, told = [], "", str(error)
    return Verdict(tuple(seeds), by, told, time.monotonic() - began)


def judge_unharmed(
    patches: Sequence[Patch], verdicts: Sequence[Verdict], plan: Plan, pool: TreePool
) -> str:
    """Whether the tree without a patch passes every seed and every test that caught something: ''
    if so, else what is wrong."""
    tests = {
        name
        for patch, verdict in zip(patches, verdicts, strict=True)
        if verdict.by == "tests"
        for name in patch.caught_by
    }
    seeds = zip(*(verdict.seeds for verdict in verdicts if verdict.seeds), strict=True)
    try:
        with pool.tree_with(None) as tree:
            for first_seed, found in zip(plan.first_seeds, seeds, strict=False):
                needed = replace(plan, seeds=max(found))
                failed, told = simulate(tree, needed, first_seed, processes=AT_ONCE)
                if failed:
                    return f"seed {first_seed + failed - 1} fails without any patch: {told}"
            code, last = run_tests(tree, sorted(tests), is_broken=False) if tests else (0, "")
    except (PatchError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if code == 0 else f"red without any patch: {last}"


def planted(wanted: Sequence[str] = ()) -> list[Patch]:
    """The patches, or those named. Raises SystemExit for one of an unknown kind."""
    found = [read(path, "kind", "bug") for path in sorted(HERE.glob("*.patch"))]
    for patch in found:
        if patch.head["kind"] not in KINDS:
            sys.exit(f"{patch.name}: {patch.head['kind']!r} is none of KINDS")
    return [patch for patch in found if not wanted or patch.name in wanted]


def report(patch: Patch, verdict: Verdict) -> None:
    """Prints one verdict, and what the suite said of the bug."""
    state = f"caught by {verdict.by}" if verdict.is_caught else "NOT CAUGHT"
    print(f"{patch.name:<28} {verdict.took_s:5.1f} s  {state}")
    print(
        f"{'':<28}          {patch.head['bug']}\n{'':<28}          {verdict.told[:150]}", flush=True
    )


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="names of patches, without .patch")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a few minutes; the default")
    size.add_argument("--nightly", action="store_true", help="longer seeds, several first seeds")
    options = parser.parse_args()
    plan = NIGHTLY if options.nightly else QUICK
    patches = planted(options.names)
    verdicts: list[Verdict] = []
    with TreePool() as trees:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            judged = threads.map(lambda patch: judge(patch, plan, trees), patches)
            for patch, verdict in zip(patches, judged, strict=True):
                verdicts.append(verdict)
                report(patch, verdict)
        trouble = judge_unharmed(patches, verdicts, plan, trees)
    if trouble:
        print(trouble)
    print(f"\n{'kind':<32} | {'seeds to catch':<16} | caught by")
    for patch, verdict in zip(patches, verdicts, strict=True):
        print(f"{patch.head['kind']:<32} | {verdict.seeds_text:<16} | {verdict.by or 'NOTHING'}")
    caught = sum(verdict.is_caught for verdict in verdicts)
    tell("planted bugs", planted_bugs=len(verdicts), planted_bugs_caught=caught)
    print(f"planted_bugs={len(verdicts)}\nplanted_bugs_caught={caught}")
    return 1 if trouble or caught < len(verdicts) or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())

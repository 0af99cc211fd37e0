"""Runs seeds of the simulation, in several processes, and says what they came to.

    python tests/simulation/run.py --seeds 200 [--first-seed K] [--events 20000] [--processes 2]
    python tests/simulation/run.py --seed K --trace      # one seed again, every event printed
    python tests/simulation/run.py --seeds 500 --until-caught

A seed that fails is printed with what broke and how to replay it; the same seed gives the same
trace and the same hash, whatever the machine. Seeds in `seeds.txt` failed once and are run first.
Exit code 1 where a promise was broken, by an exception or a hang, too. With --until-caught the
first failure ends the run and `caught_after_seeds` tells how many seeds it took.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("crds", "operator", "proxy", "tests")]

from simulation.seed import Outcome, in_memory, run_seed  # noqa: E402  the tree that this file stands in
from support.figures import tell  # noqa: E402

SEED_LIMIT_S = 1_800
"""A seed of which nothing is heard for so long waits for ever. One that computes for ever is ended
by itself, by its processor time: on a busy machine nobody knows how long a seed takes."""


def main() -> int:
    """See the module's docstring."""
    options = _options()
    if options.seed is not None:
        return _replay(options)
    seeds = _seeds(options)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    failed = 0
    for outcome in _outcomes(seeds, options):
        outcomes.append(outcome)
        if outcome.violations:
            failed += 1
            _tell_failure(outcome, options.events)
            if options.until_caught:
                print(f"caught_after_seeds={len(outcomes)}", flush=True)
                return 1
        if len(outcomes) % 20 == 0:
            events = sum(each.events for each in outcomes)
            rate = events / (time.monotonic() - began)
            print(f"{len(outcomes)} of {len(seeds)} seeds, {rate:.0f} events/s", flush=True)
    _tell_figures(outcomes, time.monotonic() - began)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200, help="how many, from --first-seed")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=20_000, help="at least, in each seed")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--until-caught", action="store_true", help="stop at the first failure")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--trace", action="store_true", help="print every event of --seed")
    return parser.parse_args()


def _seeds(options: argparse.Namespace) -> list[int]:
    """Those that failed once, then as many new ones."""
    kept = [] if options.until_caught else kept_seeds()
    new = range(options.first_seed, options.first_seed + options.seeds)
    return kept + [seed for seed in new if seed not in kept]


def kept_seeds() -> list[int]:
    """Seeds that found something once."""
    lines = (HERE / "seeds.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def _replay(options: argparse.Namespace) -> int:
    outcome = run_seed(options.seed, events=options.events, trace=options.trace)
    for line in outcome.trace:
        print(line)
    print(
        f"seed={outcome.seed} events={outcome.events} hash={outcome.trace_hash} "
        f"runs={outcome.runs} simulated_s={outcome.simulated_s:.1f} cpu_s={outcome.seconds:.2f} "
        f"us_per_event={outcome.seconds / max(1, outcome.events) * 1e6:.0f} calm={outcome.calm}"
    )
    print(f"answers={outcome.answers} refusals={outcome.refusals}\nfaults={outcome.faults}")
    if outcome.violations:
        _tell_failure(outcome, options.events)
    return 1 if outcome.violations else 0


def _outcomes(seeds: list[int], options: argparse.Namespace) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds."""
    context = multiprocessing.get_context("fork")
    gc.freeze()  # what is there by now outlives every seed: no collection looks at it
    with (
        tempfile.TemporaryDirectory(prefix="sim", dir=in_memory()) as folders,
        context.Pool(options.processes, maxtasksperchild=25) as pool,
    ):
        tasks = [(seed, options.events, Path(folders)) for seed in seeds]
        results = pool.imap(_one, tasks)
        for seed in seeds:
            try:
                yield results.next(timeout=SEED_LIMIT_S)
            except multiprocessing.TimeoutError:
                pool.terminate()
                outcome = Outcome.hung(seed)
                yield outcome
                return


def _one(task: tuple[int, int, Path]) -> Outcome:
    seed, events, folders = task
    return run_seed(seed, events=events, folders=folders)


def _tell_failure(outcome: Outcome, events: int) -> None:
    print(f"seed {outcome.seed} FAILED after {outcome.events} events; faults: {outcome.faults}")
    for line in outcome.violations[:5]:
        print(f"    {line}")
    print(
        f"    replay: python tests/simulation/run.py --seed {outcome.seed} --events {events} "
        "--trace",
        flush=True,
    )


def _tell_figures(outcomes: list[Outcome], seconds: float) -> None:
    figures = [outcome.figures for outcome in outcomes]
    spent = sum(each.spent for each in figures)
    limit = sum(each.limit for each in figures)
    events = sum(outcome.events for outcome in outcomes)
    tell(
        "simulation",
        simulated_seeds=len(outcomes),
        events_per_seed=min(outcome.events for outcome in outcomes),
        simulated_runs=sum(outcome.runs for outcome in outcomes),
        overspend_nano=sum(each.overspend_nano for each in figures),
        ledger_under_bill_nano=sum(each.ledger_under_bill_nano for each in figures),
        leaked_holds=sum(each.leaked_holds for each in figures),
        false_refusals=sum(each.false_refusals for each in figures),
        spent_share_of_limit=round(spent / limit, 4) if limit else 1,
    )
    print(f"events_per_second={events / seconds:.0f}")
    print(f"simulation_failures={sum(bool(outcome.violations) for outcome in outcomes)}")


if __name__ == "__main__":
    sys.exit(main())

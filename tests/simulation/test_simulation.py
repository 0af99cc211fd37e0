"""The simulated fleet in short: a few seeds hold every promise, and a seed is always the same.

The long form, hundreds of seeds of 20,000 events each, is `tests/simulation/run.py`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.seed import run_seed

RUNNER = Path(__file__).with_name("run.py")
EVENTS = 4_000


@pytest.mark.parametrize("seed", [1, 2, 3, 6])
def test_a_seed_breaks_no_promise(seed: int) -> None:
    outcome = run_seed(seed, events=EVENTS)
    assert outcome.violations == [], f"replay: {RUNNER} --seed {seed} --events {EVENTS} --trace"
    assert outcome.events >= EVENTS
    assert outcome.answers[200] > 0


def test_the_same_seed_is_the_same_trace_whatever_the_order_of_sets() -> None:
    hashes = {_hash_of(3, hash_seed) for hash_seed in ("1", "2")}
    assert len(hashes) == 1


def test_another_seed_is_another_trace() -> None:
    hashes = {run_seed(seed, events=1_600).trace_hash for seed in (1, 2)}
    assert len(hashes) == 2


def _hash_of(seed: int, hash_seed: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(RUNNER), "--seed", str(seed), "--events", str(EVENTS)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
    )
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("seed=")]
    return next(word for word in line.split() if word.startswith("hash="))

"""Runs the proofs and ends with what they found, as name=value lines.

    python tests/prove.py [--nightly] [pytest options]

Three parts: the proofs with real processes (pytest, marker `proof`), the deterministic simulation,
and the planted bugs, all of which have to be caught.
Each figure at the end is the worst that any part told (`support.figures`); what is no sum of the
others is shown above, proof by proof. The exit code is 1 where any part failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

from support.figures import FILE_VARIABLE, NIGHTLY_VARIABLE, merged, told  # noqa: E402

SEEDS = {"prove": 200, "nightly": 2_000}
EVENTS = 20_000


def simulation(size: str, environment: dict[str, str]) -> int:
    """The simulation; its exit code."""
    command = [sys.executable, str(TESTS / "simulation" / "run.py")]
    options = ["--seeds", str(SEEDS[size]), "--events", str(EVENTS), "--processes", "2"]
    return subprocess.run([*command, *options], cwd=TESTS.parent, env=environment).returncode


def planted(size: str, environment: dict[str, str]) -> int:
    """The planted bugs; the runner's exit code."""
    command = [sys.executable, str(TESTS / "planted" / "run.py")]
    options = ["--nightly"] if size == "nightly" else []
    return subprocess.run([*command, *options], cwd=TESTS.parent, env=environment).returncode


def proofs(options: list[str], environment: dict[str, str]) -> int:
    """The proofs with real processes; pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-m", "proof", *options]
    return subprocess.run(command, cwd=TESTS.parent, env=environment).returncode


def main(arguments: list[str]) -> int:
    size = "nightly" if "--nightly" in arguments else "prove"
    options = [each for each in arguments if each != "--nightly"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="signalbox-figures-") as folder:
        figures = Path(folder) / "figures.jsonl"
        environment = os.environ | {FILE_VARIABLE: str(figures)}
        if size == "nightly":
            environment[NIGHTLY_VARIABLE] = "1"
        failed = [
            proofs(options, environment),
            simulation(size, environment),
            planted(size, environment),
        ]
        found = told(figures)
    for proof, told_figures in found:
        print(f"{proof}: " + " ".join(f"{name}={value}" for name, value in told_figures.items()))
    print(f"\nproofs_seconds={time.monotonic() - began:.0f}")
    for name, value in merged(found).items():
        print(f"{name}={value}")
    return int(any(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs the proofs and ends with what they found, as name=value lines.

    python tests/prove.py [--nightly] [pytest options]

Each figure is the worst that any proof told (`support.figures`); what is no sum of the others is
shown above, proof by proof. The exit code is pytest's.
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


def main(arguments: list[str]) -> int:
    nightly = "--nightly" in arguments
    options = [each for each in arguments if each != "--nightly"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="signalbox-figures-") as folder:
        figures = Path(folder) / "figures.jsonl"
        environment = os.environ | {FILE_VARIABLE: str(figures)}
        if nightly:
            environment[NIGHTLY_VARIABLE] = "1"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "proof", *options],
            cwd=TESTS.parent,
            env=environment,
        )
        found = told(figures)
    for proof, told_figures in found:
        print(f"{proof}: " + " ".join(f"{name}={value}" for name, value in told_figures.items()))
    print(f"\nproofs_seconds={time.monotonic() - began:.0f}")
    for name, value in merged(found).items():
        print(f"{name}={value}")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

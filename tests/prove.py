"""Runs the proofs and ends with what they found, as name=value lines.

    python tests/prove.py [--nightly] [pytest options]

Each file with proofs (pytest, marker `proof`) runs in a process of its own, in two passes:

1. `ALONE`: fights that take the whole machine. Beside anything else they starve the authority and
   measure the machine.
2. `FIRST`, which leaves some of the machine, but beside other proofs too little; then all others,
   `AT_ONCE` at a time: they mostly wait, for windows, outages and processes. Behind both, with
   what they leave of the machine (`support.background`), the simulation. It takes longer than they
   do, so that more of them at once would only be in each other's way.

Then the planted bugs, all of which have to be caught. What ran beside something else is shown when
it has ended. Each figure at the end is the worst that any part told (`support.figures`); what is no
sum of the others is shown above, proof by proof. The exit code is 1 where any part failed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

from support.background import behind  # noqa: E402  the folder that this file stands in
from support.figures import FILE_VARIABLE, NIGHTLY_VARIABLE, merged, told  # noqa: E402

SEEDS = {"prove": 200, "nightly": 2_000}
EVENTS = 20_000
AT_ONCE = 2

ALONE = ("proofs/test_fleet_budget_proof.py",)
FIRST = ("proofs/test_budget_proof.py",)

LONGEST = (
    "proofs/test_store_outage_proof.py",
    "cli/test_quickstart_budget.py",
    "ledger/test_store_machine.py",
    "proofs/test_fleet_kill_proof.py",
    "proofs/test_kill_proof.py",
    "ledger/test_races.py",
    "ledger/test_kills.py",
    "proofs/test_clock_proof.py",
)
"""What begins first, so that nothing long is left for the end; what only waits, beside outages."""

NOTHING_CHOSEN = 5
"""pytest's exit code where options of the caller's choose none of a file's proofs."""


@dataclass(frozen=True)
class Ended:
    """One part and what became of it."""

    name: str
    code: int
    took_s: float


@dataclass
class Run:
    """One run of everything: what is given to each part, and what became of those that ended."""

    size: str
    options: Sequence[str]
    environment: Mapping[str, str]
    ended: list[Ended] = field(default_factory=list)
    running: set["subprocess.Popen[str]"] = field(default_factory=set)

    def part(self, name: str, command: Sequence[str]) -> None:
        """One part with nothing beside it; its output is seen as it comes."""
        began = time.monotonic()
        code = subprocess.run([*command], cwd=TESTS.parent, env=self.environment).returncode
        self._end(name, code, began)

    def proofs(self, file: str) -> Ended:
        """The proofs of one file, beside others; its output is shown whole."""
        began = time.monotonic()
        process = subprocess.Popen(
            self.pytest(file),
            cwd=TESTS.parent,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.add(process)
        said, _ = process.communicate()
        self.running.remove(process)
        print(f"\n{file}\n{said}", flush=True)
        return self._end(file, process.returncode, began)

    def pytest(self, file: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "-m", "proof", str(TESTS / file), *self.options]

    def beside_each_other(self, files: Sequence[str]) -> None:
        """The second pass."""
        with (
            tempfile.TemporaryFile("w+") as output,
            behind(simulation(self.size), output, TESTS.parent, self.environment) as simulated,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            began = time.monotonic()
            for file in FIRST:
                self.proofs(file)
            begun = [pool.submit(self.proofs, file) for file in files]
            try:
                for each in as_completed(begun):
                    each.result()
            except BaseException:  # somebody ends this run: nothing else begins
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self.running):
                    process.terminate()
                raise
            print("\nwaiting for the simulation", flush=True)
            code = simulated.wait()
            output.seek(0)
            print(output.read(), flush=True)
            self._end("simulation", code, began)

    def _end(self, name: str, code: int, began: float) -> Ended:
        passed = (0, NOTHING_CHOSEN) if self.options else (0,)
        ended = Ended(name, 0 if code in passed else code, time.monotonic() - began)
        self.ended.append(ended)
        return ended


def simulation(size: str) -> list[str]:
    """The command of the simulation."""
    command = [sys.executable, str(TESTS / "simulation" / "run.py")]
    return [*command, "--seeds", str(SEEDS[size]), "--events", str(EVENTS), "--processes", "2"]


def planted(size: str) -> list[str]:
    """The command of the planted bugs."""
    command = [sys.executable, str(TESTS / "planted" / "run.py")]
    return [*command, "--nightly"] if size == "nightly" else command


def files_with_proofs() -> list[str]:
    """All but those of ALONE and FIRST, as paths under the tests, those of LONGEST first."""
    marked = {
        str(path.relative_to(TESTS))
        for path in TESTS.glob("*/test_*.py")
        if "mark.proof" in path.read_text()
    }
    gone = {*ALONE, *FIRST, *LONGEST} - marked
    if gone:
        sys.exit(f"tests/prove.py names files without proofs: {', '.join(sorted(gone))}")
    return [*LONGEST, *sorted(marked - {*ALONE, *FIRST, *LONGEST})]


def main(arguments: list[str]) -> int:
    size = "nightly" if "--nightly" in arguments else "prove"
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs behind ends with this
    others = files_with_proofs()
    with tempfile.TemporaryDirectory(prefix="signalbox-figures-") as folder:
        figures = Path(folder) / "figures.jsonl"
        environment = os.environ | {FILE_VARIABLE: str(figures)}
        if size == "nightly":
            environment[NIGHTLY_VARIABLE] = "1"
        run = Run(size, [each for each in arguments if each != "--nightly"], environment)
        for file in ALONE:
            run.part(file, run.pytest(file))
        run.beside_each_other(others)
        run.part("planted bugs", planted(size))
        found = told(figures)
    for proof, told_figures in found:
        print(f"{proof}: " + " ".join(f"{name}={value}" for name, value in told_figures.items()))
    print()
    for part in run.ended:
        print(f"{part.took_s:6.0f} s  {part.name}{'' if part.code == 0 else '  FAILED'}")
    print(f"\nproofs_seconds={time.monotonic() - began:.0f}")
    for name, value in merged(found).items():
        print(f"{name}={value}")
    return int(any(part.code for part in run.ended))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a request costs here, beside a minimal aiohttp pass-through and Envoy, in one run.

All systems forward the same chat request to the same mock. The system under test is pinned to
the last core, load and mock to the first; rounds are interleaved, because the speed of a shared
machine wanders by more than what is to be seen. CPU is user plus system time of the system's
processes over the run, divided by its requests; of Signalbox the authority's CPU counts in.
Last lines are `name=value`:

    cpu_vs_passthrough   CPU per request as a multiple of the pass-through's, median of rounds
    cpu_vs_envoy         likewise of Envoy's
    added_p50_ms_100rps  median latency at 100 requests a second, less that of the mock itself
    rss_idle_mib         resident memory of one idle proxy

`--gate` exits with 1 when cpu_vs_passthrough is above 1.25 times the ratio in baseline.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

import systems  # noqa: E402  beside this file, as scripts have it

BASELINE = HERE / "baseline.json"
TOLERANCE_PERCENT = 125
CONNECTIONS = 32
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Round:
    """One system in one round."""

    cpu_ms: float
    p50_open_ms: float
    rate: float


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used (fields 14 and 15 of proc(5) stat)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20


def load(mode: str, system: systems.System, amount: int, seconds: float) -> dict[str, float]:
    """Runs load.py on the first core against one system; a bad answer ends the bench."""
    command = [sys.executable, str(HERE / "load.py"), mode, str(system.port), str(amount)]
    ran = subprocess.run(
        ["taskset", "-c", "0", *command, str(seconds)],
        input=system.request,
        capture_output=True,
        check=True,
    )
    result: dict[str, float] = json.loads(ran.stdout)
    if result["bad"]:
        sys.exit(f"{system.name}: {result['bad']} of {result['requests']} answers were bad")
    return result


def measure(system: systems.System, seconds: float) -> Round:
    before = cpu_seconds(system.pids)
    closed = load("closed", system, CONNECTIONS, seconds)
    cpu = cpu_seconds(system.pids) - before
    paced = load("open", system, 100, seconds)
    requests = closed["requests"]
    return Round(cpu / requests * 1000, paced["p50_ms"], requests / seconds)


@contextmanager
def started(folder: Path) -> Iterator[dict[str, systems.System]]:
    """All systems, each ready to answer."""
    with ExitStack() as stack:
        mock = stack.enter_context(systems.mock())
        yield {
            "direct": mock,
            "passthrough": stack.enter_context(systems.passthrough(mock.port)),
            "envoy": stack.enter_context(systems.envoy(mock.port, folder)),
            "signalbox": stack.enter_context(systems.signalbox(mock.port, folder)),
        }


def table(rounds: dict[str, list[Round]]) -> None:
    print(f"\n{'system':<12} {'CPU ms/request':>24} {'requests/s':>12} {'p50 ms at 100/s':>16}")
    for name, measured in rounds.items():
        cpu = sorted(each.cpu_ms for each in measured)
        spread = f"{statistics.median(cpu):.3f} [{cpu[0]:.3f}-{cpu[-1]:.3f}]"
        rate = statistics.median(each.rate for each in measured)
        latency = statistics.median(each.p50_open_ms for each in measured)
        print(f"{name:<12} {spread:>24} {rate:>12.0f} {latency:>16.3f}")


def ratio(rounds: dict[str, list[Round]], other: str) -> float:
    """Median over rounds of the ratio within a round: drift of the machine cancels out."""
    pairs = zip(rounds["signalbox"], rounds[other], strict=True)
    return statistics.median(ours.cpu_ms / theirs.cpu_ms for ours, theirs in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each system in each round")
    parser.add_argument("--gate", action="store_true", help="compare with baseline.json")
    parser.add_argument("--save", action="store_true", help="write baseline.json")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="signalbox-bench-") as folder,
        started(Path(folder)) as running,
    ):
        idle = resident_mib(running["signalbox"].pids[0])
        rounds: dict[str, list[Round]] = {name: [] for name in running}
        for system in running.values():
            load("closed", system, CONNECTIONS, 1.0)  # warm
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for name, system in running.items():
                rounds[name].append(measure(system, options.seconds))
    table(rounds)
    added = statistics.median(
        ours.p50_open_ms - direct.p50_open_ms
        for ours, direct in zip(rounds["signalbox"], rounds["direct"], strict=True)
    )
    against = ratio(rounds, "passthrough")
    print(f"cpu_vs_passthrough={against:.2f}")
    print(f"cpu_vs_envoy={ratio(rounds, 'envoy'):.2f}")
    print(f"added_p50_ms_100rps={added:.2f}")
    print(f"rss_idle_mib={idle:.0f}", flush=True)
    if options.save:
        BASELINE.write_text(json.dumps({"cpu_vs_passthrough": round(against, 2)}) + "\n")
    if options.gate:
        bar = json.loads(BASELINE.read_text())["cpu_vs_passthrough"] * TOLERANCE_PERCENT / 100
        if against > bar:
            sys.exit(f"cpu_vs_passthrough is {against:.2f}; the gate is {bar:.2f}")


if __name__ == "__main__":
    main()

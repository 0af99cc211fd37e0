"""From `kubectl apply` to enforced on every proxy: seconds until all of them run the change.

    .venv/bin/python tests/operator/bench_apply.py [--proxies 10 --budgets 500 --changes 200]

A real API server, real proxies, one operator. The time begins before the API server is asked, and
ends when the last proxy says that it runs the release with the change. Run it alone.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / each) for each in ("crds", "operator", "proxy", "tests")]

from support.apiserver import ApiServer  # noqa: E402
from support.fleet import Fleet, eventually  # noqa: E402
from support.operators import (  # noqa: E402
    PROXY_OPTIONS,
    OperatorProcess,
    Platform,
    everywhere,
)

NAMESPACE = "signalbox-system"


def set_limit(platform: Platform, name: str, usd: int) -> None:
    spec = {"scope": {"domain": "retail"}, "limit": {"usd": str(usd)}, "window": {"every": "day"}}
    platform.apply("Budget", name, spec)


def change(platform: Platform, name: str, usd: int) -> float:
    """Seconds until every proxy runs one change of one budget."""
    before = platform.generation()
    began = time.perf_counter()
    set_limit(platform, name, usd)
    eventually(lambda: min(platform.generations()) > before, within_s=120)
    return time.perf_counter() - began


def measure(folder: Path, proxies: int, budgets: int, changes: int) -> list[float]:
    with (
        ApiServer(folder) as server,
        Fleet(folder, proxies=proxies, options=PROXY_OPTIONS) as fleet,
        server.namespace(NAMESPACE) as namespace,
    ):
        platform = Platform(server, namespace, fleet)
        platform.install()
        platform.company()
        for number in range(budgets):
            set_limit(platform, f"b{number}", 10)
        with OperatorProcess(platform, folder):
            everywhere(platform, within_s=300)
            return [
                change(platform, f"b{number % budgets}", 20 + number) for number in range(changes)
            ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--proxies", type=int, default=10)
    parser.add_argument("--budgets", type=int, default=500)
    parser.add_argument("--changes", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        taken = sorted(measure(Path(folder), options.proxies, options.budgets, options.changes))
    told = vars(options) | {
        "median_s": round(statistics.median(taken), 3),
        "p99_s": round(taken[math.ceil(len(taken) * 0.99) - 1], 3),
        "longest_s": round(taken[-1], 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

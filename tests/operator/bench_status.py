"""How soon a budget that refuses is told so, and how many status writes a second there are.

    python tests/operator/bench_status.py [--budgets 20] [--crowd 480]

A real API server, a real operator, two real proxies. Each of `--budgets` budgets is spent by an
agent of its own until a request is refused; measured is the time from that refusal until
`Exhausted=True` is read from a watch. `--crowd` further budgets move with every request. Writes are
counted by that watch: every version of an object that differs in its status alone.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from openai import APIStatusError, OpenAI

from support.apiserver import ApiServer
from support.fleet import Fleet, eventually
from support.operators import (
    PROXY_OPTIONS,
    OperatorProcess,
    Platform,
    everywhere,
)
from support.snapshots import key_of


class Watch:
    """Follows all budgets: when each became exhausted, and when anything was written."""

    def __init__(self, platform: Platform) -> None:
        self.exhausted: dict[str, float] = {}
        self.writes: list[float] = []
        kube = platform.kube
        path = f"/apis/signalbox.dev/v1alpha1/namespaces/{platform.namespace}/budgets?watch=true"
        request = urllib.request.Request(
            kube.url + path, headers={"Authorization": f"Bearer {kube.token}"}
        )
        self._stream = urllib.request.urlopen(request, timeout=3600, context=kube._context)
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        seen: dict[str, Any] = {}
        for line in self._stream:
            found = json.loads(line)["object"]
            name, status = found["metadata"]["name"], found.get("status", {})
            now = time.monotonic()
            if name in seen and seen[name] != status:
                self.writes.append(now)
            seen[name] = status
            for each in status.get("conditions", []):
                if (each["type"], each["status"]) == ("Exhausted", "True"):
                    self.exhausted.setdefault(name, now)

    def most_in_a_second(self) -> int:
        times = sorted(self.writes)
        return max((sum(begin <= at < begin + 1.0 for at in times) for begin in times), default=0)


def refused_at(platform: Platform, agent: str) -> float:
    """Spends until a request is refused; when that was sent."""
    client = OpenAI(
        base_url=f"{platform.fleet.proxies[0].url}/v1",
        api_key=key_of(f"{platform.namespace}/{agent}"),
        max_retries=0,
    )
    while True:
        sent_at = time.monotonic()
        try:
            client.chat.completions.create(
                model="small", messages=[{"role": "user", "content": "hi"}], max_tokens=300
            )
        except APIStatusError as error:
            if error.status_code == 402:
                return sent_at


def main() -> None:
    """Runs it once and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", type=int, default=20)
    parser.add_argument("--crowd", type=int, default=480)
    options = parser.parse_args()
    agents = [f"agent{number:02}" for number in range(options.budgets)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            ApiServer(folder) as server,
            Fleet(folder, proxies=2, options=PROXY_OPTIONS) as fleet,
        ):
            server.admin.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}
            )
            platform = Platform(server, "bench", fleet)
            platform.install()
            measure(platform, folder, agents, options.crowd)


def measure(platform: Platform, folder: Path, agents: list[str], crowd: int) -> None:
    """Spends each agent's budget in turn."""
    window = {"every": "month"}
    for number in range(crowd):
        spec = {"scope": {"all": True}, "limit": {"usd": "50"}, "window": window}
        platform.apply("Budget", f"crowd{number:03}", spec)
    with OperatorProcess(platform, folder) as operator:
        platform.company(agents)
        for agent in agents:
            limit = {"usd": "0.002"}
            spec = {"scope": {"agent": agent}, "limit": limit, "window": window}
            platform.apply("Budget", f"of-{agent}", spec)
        everywhere(platform)
        last = f"of-{agents[-1]}"
        eventually(lambda: platform.condition("Budget", last, "Exhausted"), within_s=300)
        eventually(
            lambda: (
                platform.condition("Budget", f"crowd{crowd - 1:03}", "Exhausted") if crowd else True
            ),
            within_s=300,
        )
        watch = Watch(platform)
        delays = []
        for agent in agents:
            sent_at = refused_at(platform, agent)
            found = eventually(lambda budget=f"of-{agent}": watch.exhausted.get(budget))
            delays.append(found - sent_at)
        with Path(f"/proc/{operator.process.pid}/stat").open() as stat:
            parts = stat.read().split()
        show(delays, watch, (int(parts[13]) + int(parts[14])) / 100)


def show(delays: list[float], watch: Watch, cpu_s: float) -> None:
    """Prints what was measured."""
    delays.sort()
    seconds = Counter(int(at) for at in watch.writes)
    print(f"exhausted after the refusing request: median {statistics.median(delays):.2f} s,")
    print("  all:", " ".join(f"{delay:.2f}" for delay in delays))
    print(f"status writes: {len(watch.writes)} in {len(seconds)} s,")
    print(f"  most in any second {watch.most_in_a_second()}")
    print(f"CPU of the operator: {cpu_s:.1f} s")


if __name__ == "__main__":
    main()

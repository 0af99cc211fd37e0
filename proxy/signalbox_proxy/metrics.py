"""What operators see of a proxy in Prometheus. Labels come from closed sets only.

No label holds a user, a session, a key or a model's answer; agents and budgets are reported by
the ledger, not here. Counters that alerts ask for are there at zero from the start: Prometheus sees
no increase in a series that begins with its first event.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from signalbox_ledger.records import AttemptOutcome, Settlement
from signalbox_proxy.refusals import STATUS

LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class _Durations:
    """A histogram in plain numbers: durations in microseconds, counted by upper bound."""

    __slots__ = ("_bounds_us", "_counts", "_sum_us")

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_us = [round(bound * 1_000_000) for bound in bounds_s]
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_us = 0

    def observe(self, duration_us: int) -> None:
        self._counts[bisect_left(self._bounds_us, duration_us)] += 1
        self._sum_us += duration_us

    def add_to(self, family: HistogramMetricFamily, surface: str) -> None:
        bounds = [str(bound / 1_000_000) for bound in self._bounds_us]
        buckets = list(zip([*bounds, "+Inf"], accumulate(self._counts), strict=True))
        family.add_metric([surface], buckets, self._sum_us / 1e6)


class _Tally(Collector):
    """What every run adds to, without the lock that a Prometheus counter takes for each number."""

    def __init__(self) -> None:
        self.runs: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.attempts: dict[tuple[str, str], int] = dict.fromkeys(
            product(get_args(AttemptOutcome), get_args(Settlement)), 0
        )
        self.cost_nano: defaultdict[str, int] = defaultdict(int)
        self.durations: defaultdict[str, _Durations] = defaultdict(
            lambda: _Durations(LATENCY_BUCKETS)
        )
        self.overheads: defaultdict[str, _Durations] = defaultdict(
            lambda: _Durations(OVERHEAD_BUCKETS)
        )

    def collect(self) -> Iterator[Metric]:
        """The families, when Prometheus asks."""
        runs = CounterMetricFamily(
            "signalbox_runs", "Runs by surface and outcome.", labels=["surface", "outcome"]
        )
        for labels, count in self.runs.items():
            runs.add_metric(labels, count)
        attempts = CounterMetricFamily(
            "signalbox_attempts",
            "Calls of providers by outcome and settlement.",
            labels=["outcome", "settlement"],
        )
        for labels, count in self.attempts.items():
            attempts.add_metric(labels, count)
        cost = CounterMetricFamily("signalbox_cost_usd", "What runs cost.", labels=["surface"])
        for surface, cost_nano in self.cost_nano.items():
            cost.add_metric([surface], cost_nano / 1e9)
        yield from (runs, attempts, cost)
        for name, meaning, durations in (
            (
                "signalbox_run_duration_seconds",
                "Time from the request's head to the end of the answer.",
                self.durations,
            ),
            ("signalbox_overhead_seconds", "Time of a run that no provider took.", self.overheads),
        ):
            family = HistogramMetricFamily(name, meaning, labels=["surface"])
            for surface, histogram in durations.items():
                histogram.add_to(family, surface)
            yield family


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tally = _Tally()
        self.registry.register(self._tally)
        self._refusals = Counter(
            "signalbox_refusals", "Refusals by code.", ["code"], registry=self.registry
        )
        for code in STATUS:
            self._refusals.labels(code)
        self._overruns = Counter(
            "signalbox_overruns",
            "Answers that their provider billed above the bound; the lane is then quarantined.",
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "signalbox_requests_in_flight", "Requests under way.", registry=self.registry
        )
        self.generation = Gauge(
            "signalbox_snapshot_generation",
            "Generation of the snapshot in force; 0 with none.",
            registry=self.registry,
        )
        self.loaded_at = Gauge(
            "signalbox_snapshot_loaded_timestamp_seconds",
            "When the snapshot in force was loaded.",
            registry=self.registry,
        )
        self._rejections = Counter(
            "signalbox_snapshot_rejections", "Snapshots refused.", registry=self.registry
        )

    def run_ended(
        self, *, surface: str, outcome: str, cost_nano: int, duration_us: int, overhead_us: int
    ) -> None:
        """A run was recorded."""
        tally = self._tally
        tally.runs[surface, outcome] += 1
        tally.cost_nano[surface] += cost_nano
        tally.durations[surface].observe(duration_us)
        tally.overheads[surface].observe(overhead_us)

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._refusals.labels(code).inc()

    def attempt_ended(self, outcome: str, settlement: str) -> None:
        """A call of a provider ended."""
        self._tally.attempts[outcome, settlement] += 1

    def overran(self) -> None:
        """A provider billed above the bound."""
        self._overruns.inc()

    def snapshot_rejected(self) -> None:
        """A pushed snapshot was refused."""
        self._rejections.inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

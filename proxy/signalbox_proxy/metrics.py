"""What operators see of a proxy in Prometheus. Labels come from closed sets only.

No label holds a user, a session, a key or a model's answer; agents and budgets are reported by
the ledger, not here.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "signalbox_runs",
            "Runs by surface and outcome.",
            ["surface", "outcome"],
            registry=self.registry,
        )
        self._refusals = Counter(
            "signalbox_refusals", "Refusals by code.", ["code"], registry=self.registry
        )
        self._attempts = Counter(
            "signalbox_attempts",
            "Calls of providers by outcome and settlement.",
            ["outcome", "settlement"],
            registry=self.registry,
        )
        self._cost = Counter(
            "signalbox_cost_usd", "What runs cost.", ["surface"], registry=self.registry
        )
        self._duration = Histogram(
            "signalbox_run_duration_seconds",
            "Time from the request's head to the end of the answer.",
            ["surface"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._overhead = Histogram(
            "signalbox_overhead_seconds",
            "Time of a run that no provider took.",
            ["surface"],
            buckets=OVERHEAD_BUCKETS,
            registry=self.registry,
        )
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
        self._by_labels: dict[tuple[str, ...], tuple[Counter, Histogram, Histogram, Counter]] = {}
        self._ended: dict[tuple[str, str], Counter] = {}

    def run_ended(
        self, *, surface: str, outcome: str, cost_nano: int, duration_us: int, overhead_us: int
    ) -> None:
        """A run was recorded."""
        series = self._by_labels.get((surface, outcome))
        if series is None:
            series = self._by_labels[surface, outcome] = (
                self._cost.labels(surface),
                self._duration.labels(surface),
                self._overhead.labels(surface),
                self._runs.labels(surface, outcome),
            )
        cost, duration, overhead, runs = series
        runs.inc()
        cost.inc(cost_nano / 1e9)
        duration.observe(duration_us / 1e6)
        overhead.observe(overhead_us / 1e6)

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._refusals.labels(code).inc()

    def attempt_ended(self, outcome: str, settlement: str) -> None:
        """A call of a provider ended."""
        counter = self._ended.get((outcome, settlement))
        if counter is None:
            counter = self._ended[outcome, settlement] = self._attempts.labels(outcome, settlement)
        counter.inc()

    def overran(self) -> None:
        """A provider billed above the bound."""
        self._overruns.inc()

    def snapshot_rejected(self) -> None:
        """A pushed snapshot was refused."""
        self._rejections.inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

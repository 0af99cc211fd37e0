"""Compares what a provider billed, request by request, with what the ledger charged.

Pure. Requests are matched by the provider's request id, attempt by attempt. What differs and is
proven becomes a correction to book; what is only suspicious is told and left as it is:

- different: both know the request, and the bill is not what was charged
- resolved: charged in full because the end was lost; the bill says what it really cost
- unbilled: charged in full, and the provider never billed it, in a period that the export covers
- undecided: charged in full, not in the export, and the export cannot prove that it never will be
- lacking: answered and charged, within what the export covers, but not in it
- unmatched: billed, and unknown to the ledger: money that was spent outside the gateway
- ambiguous: several attempts carry the same request id
"""

import heapq
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from signalbox_ledger.reconciliation_export import BilledRequest, Export
from signalbox_ledger.reconciliation_ledger import ChargedAttempt
from signalbox_ledger.reconciliation_values import PICO_PER_NANO, model_key, nano_usd

Kind = Literal[
    "different", "resolved", "unbilled", "undecided", "lacking", "unmatched", "ambiguous"
]
BOOKED: Final[frozenset[Kind]] = frozenset({"different", "resolved", "unbilled"})
"""What can be booked."""

OPEN: Final[frozenset[Kind]] = frozenset({"lacking", "unmatched", "ambiguous"})
"""Differences that nothing is booked for: a person has to find out."""

EXAMPLES: Final = 1_000
"""How many of the kinds that cannot be booked are kept, the largest."""

_EARLY_MS: Final = 60_000
"""A provider's clock may be so much behind."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is said to hold all of: requests billed within [start, end), in milliseconds.

    `providers` and `lanes` (a name, or MODEL/LANE) say whose bill it is. `lag` milliseconds after
    a request, its provider has billed it. Without period and name nothing is covered: a missing
    line then proves nothing.
    """

    start: int = 0
    end: int = 0
    providers: frozenset[str] = frozenset()
    lanes: frozenset[str] = frozenset()
    lag: int = 3_600_000

    def names(self, attempt: ChargedAttempt, matched: frozenset[str] = frozenset()) -> bool:
        """Whether this lane's requests are in the export; where nobody said, `matched` ones."""
        if not self.providers and not self.lanes:
            return attempt.provider in matched
        return self.names_lane(attempt.provider, attempt.model, attempt.lane)

    def names_lane(self, provider: str, model: str, lane: str) -> bool:
        """Whether a lane was named, by its provider and by itself; all are where nothing was."""
        if self.providers and provider not in self.providers:
            return False
        return not self.lanes or bool(self.lanes & {lane, f"{model}/{lane}"})

    def proves(self, attempt: ChargedAttempt) -> bool:
        """Whether this call would be in the export if it was ever billed."""
        in_time = self.start <= attempt.started_at and attempt.ended_at + self.lag < self.end
        return in_time and self.names(attempt)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One request that ledger and provider do not agree on. The side that lacks it is None."""

    kind: Kind
    attempt: ChargedAttempt | None = None
    billed: BilledRequest | None = None

    @property
    def ledger_nano(self) -> int:
        """What the ledger charges now."""
        return 0 if self.attempt is None else self.attempt.nano

    @property
    def billed_nano(self) -> int:
        """What the provider billed, rounded up; what a lost call is worth while nobody knows."""
        if self.kind == "undecided":
            return self.ledger_nano
        return 0 if self.billed is None else nano_usd(self.billed.pico)

    @property
    def delta_nano(self) -> int:
        """How much more the provider billed than the ledger charged."""
        return self.billed_nano - self.ledger_nano


class LaneTotal(msgspec.Struct, kw_only=True):
    """Both sides of one lane, over what was compared."""

    requests: int = 0
    ledger_nano: int = 0
    billed_pico: int = 0
    differences: int = 0


class Comparison(msgspec.Struct, kw_only=True):
    """What came out. `bookable` and `undecided` are whole; `told` are the largest EXAMPLES of the
    rest, `counts` and `amounts` (nano-USD, the sum of differences) count all."""

    matched: int = 0
    rounded: int = 0
    bookable: list[Difference] = []
    undecided: list[Difference] = []
    told: list[Difference] = []
    counts: dict[Kind, int] = {}
    amounts: dict[Kind, int] = {}
    lanes: dict[tuple[str, str], LaneTotal] = {}

    @property
    def has_differences(self) -> bool:
        """Whether anything differs, within the tolerance or not decided aside."""
        return any(self.counts.get(kind) for kind in BOOKED | OPEN)


def compare(
    export: Export,
    charged: Iterable[ChargedAttempt],
    coverage: Coverage,
    *,
    tolerance_nano: int = 0,
) -> Comparison:
    """Match every billed request and every attempt. A difference of up to the lines' own rounding,
    or of `tolerance_nano`, is none."""
    return _Matcher(export, coverage, tolerance_nano).run(charged)


class _Matcher:
    def __init__(self, export: Export, coverage: Coverage, tolerance_nano: int) -> None:
        self._requests = export.requests
        self._coverage = coverage
        self._tolerance = tolerance_nano
        self._matched: dict[str, ChargedAttempt] = {}
        self._twice: set[str] = set()
        self._lost: list[ChargedAttempt] = []
        self._largest: list[tuple[int, int, Difference]] = []
        self._found = Comparison()

    def run(self, charged: Iterable[ChargedAttempt]) -> Comparison:
        for attempt in charged:
            self._take(attempt)
        found = self._found
        for key, attempt in self._matched.items():
            self._judge(attempt, self._requests[key])
        unmatched = [one for key, one in self._requests.items() if key not in self._matched]
        self._judge_lost(unmatched)
        for request in unmatched:
            self._tell(Difference(kind="unmatched", billed=request))
        found.told = [difference for _, _, difference in sorted(self._largest, reverse=True)]
        found.bookable.sort(key=lambda one: -abs(one.delta_nano))
        found.undecided.sort(key=lambda one: -one.ledger_nano)
        return found

    def _take(self, attempt: ChargedAttempt) -> None:
        key = attempt.request_id
        if key and key in self._requests:
            if key in self._matched:
                self._twice.add(key)
            self._matched[key] = attempt
        elif attempt.is_unknown:
            self._lost.append(attempt)
        elif attempt.settlement == "usage" and attempt.nano and self._coverage.proves(attempt):
            self._tell(Difference(kind="lacking", attempt=attempt))

    def _judge(self, attempt: ChargedAttempt, request: BilledRequest) -> None:
        found = self._found
        found.matched += 1
        if request.request_id in self._twice:
            self._tell(Difference(kind="ambiguous", attempt=attempt, billed=request))
            return
        kind: Kind = "resolved" if attempt.is_unknown else "different"
        difference = Difference(kind=kind, attempt=attempt, billed=request)
        excess = attempt.nano * PICO_PER_NANO - request.pico
        rounding = 0 <= excess < max(1, attempt.lines) * PICO_PER_NANO
        if kind == "different" and (rounding or abs(difference.delta_nano) <= self._tolerance):
            found.rounded += not rounding
            self._total(difference)
        elif difference.delta_nano == 0:
            self._total(difference)
        else:
            found.bookable.append(difference)
            self._count(difference)

    def _judge_lost(self, unmatched: list[BilledRequest]) -> None:
        """Calls without an end that no line names: never billed, or not known yet."""
        found = self._found
        providers = frozenset(each.provider for each in self._matched.values())
        by_model: dict[str, list[BilledRequest]] = {}
        for request in unmatched if self._lost else ():
            by_model.setdefault(model_key(request.model), []).append(request)
        for attempt in self._lost:
            if not self._coverage.names(attempt, providers):
                continue
            proven = self._coverage.proves(attempt)
            if proven and not attempt.request_id:
                proven = not self._could_be(attempt, by_model)
            difference = Difference(kind="unbilled" if proven else "undecided", attempt=attempt)
            (found.bookable if proven else found.undecided).append(difference)
            self._count(difference)

    def _could_be(self, attempt: ChargedAttempt, by_model: dict[str, list[BilledRequest]]) -> bool:
        """Whether a line that nothing else explains may be this call, whose id never came."""
        candidates = by_model.get(model_key(attempt.upstream_model), []) + by_model.get("", [])
        latest = attempt.ended_at + self._coverage.lag
        return any(
            not request.at or attempt.started_at - _EARLY_MS <= request.at <= latest
            for request in candidates
        )

    def _tell(self, difference: Difference) -> None:
        """Count it, and keep it if it is among the largest."""
        self._count(difference)
        entry = (abs(difference.delta_nano), -sum(self._found.counts.values()), difference)
        if len(self._largest) < EXAMPLES:
            heapq.heappush(self._largest, entry)
        else:
            heapq.heappushpop(self._largest, entry)

    def _count(self, difference: Difference) -> None:
        found, kind = self._found, difference.kind
        found.counts[kind] = found.counts.get(kind, 0) + 1
        found.amounts[kind] = found.amounts.get(kind, 0) + difference.delta_nano
        self._total(difference).differences += kind != "undecided"

    def _total(self, difference: Difference) -> LaneTotal:
        attempt, billed = difference.attempt, difference.billed
        lane = ("", "") if attempt is None else (attempt.model, attempt.lane)
        total = self._found.lanes.setdefault(lane, LaneTotal())
        total.requests += 1
        total.ledger_nano += difference.ledger_nano
        total.billed_pico += 0 if billed is None else billed.pico
        if difference.kind == "undecided":
            total.billed_pico += difference.ledger_nano * PICO_PER_NANO
        return total

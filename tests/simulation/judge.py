"""The judge: holds what providers bill against what budgets allowed, while it happens.

Knows the scenario, the provider's bill, and what the authority committed (`on_commit`, called at
the instant of a commit, whether or not its reply ever leaves). Takes figures from the system
under test only to check them. What can be said at the end only is in `books`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from signalbox_ledger.accounts import Figures
from signalbox_ledger.protocol import Configure, Configured, Draw, DrawItem, Drawn, Grant
from signalbox_ledger.records import Run
from simulation.bill import BillLine
from simulation.durable import Durable
from simulation.scenario import LANE_TIMEOUT_MS, Scenario
from simulation.scheduler import MICRO, Process, World

PICO = 1000
"""Pico-USD in a nano-USD."""

UNAVAILABLE_US = 260_000
"""A client hears within 250 ms that the store is away; the rest is for timers of our own."""

AccountKey = tuple[str, str, str, int]
"""Budget, basis, subject, start of the window."""


@dataclass(slots=True)
class Sent:
    """One attempt that left for a provider, and what held it."""

    run_id: str
    number: int
    holder: str
    at: int
    parts: tuple[tuple[str, str, str, int], ...]
    """Slice, budget, subject, amount."""
    line: BillLine | None = None
    told_at: int | None = None
    """When its proxy had the whole answer, with its usage record."""


@dataclass(slots=True)
class SliceDrawn:
    """One slice as it was committed: the `order`-th of its account, under this limit."""

    account: AccountKey
    amount: int
    limit: int
    order: int
    end: int
    """Of its window; 0 for none."""


@dataclass(slots=True)
class Judge:
    """Everything that is known of one seed so far."""

    world: World
    scenario: Scenario
    durable: Durable
    heard: dict[str, int]
    """When a process last got anything from another; see `Network`."""
    sent: dict[int, Sent] = field(default_factory=dict)
    attempts: dict[tuple[str, int], Sent] = field(default_factory=dict)
    """The same by run and number."""
    slices: dict[str, SliceDrawn] = field(default_factory=dict)
    draws: dict[AccountKey, list[str]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    short: dict[tuple[str, str, str], list[tuple[int, int]]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    exhausted: set[tuple[str, str]] = field(default_factory=set)
    false_refusals: int = 0
    generation: int = 0
    runs: int = 0

    # What the authority commits

    def on_commit(self, holder: str, request: object, reply: object) -> None:
        """One request that is now durable."""
        if isinstance(request, Configure) and isinstance(reply, Configured):
            if request.generation > self.generation:
                self.generation = request.generation
                self.limits = {spec.id: spec.limit for spec in request.specs}
        elif isinstance(request, Draw) and isinstance(reply, Drawn):
            for item, grant in zip(request.items, reply.grants, strict=True):
                self._drawn(holder, item, grant)

    def _drawn(self, holder: str, item: DrawItem, grant: Grant) -> None:
        key = (item.budget, item.basis, item.subject, grant.window_start)
        if grant.amount and grant.slice_id not in self.slices:
            self._check_window(item, grant)
            if item.budget not in self.limits:
                self.world.violate(f"{item.budget} is deleted, and {grant.amount} were granted")
            drawn = self.draws.setdefault(key, [])
            drawn.append(grant.slice_id)
            limit = self.limits.get(item.budget, 0)
            self.slices[grant.slice_id] = SliceDrawn(
                key, grant.amount, limit, len(drawn), grant.window_end
            )
            stored = self.durable.account(key)
            if stored is None or stored.granted > stored.enforced:
                self.world.violate(f"{key}: more is granted than enforced: {stored}")
            elif stored.granted + stored.overrun > limit:
                self.world.violate(f"{key}: {stored} was granted under a limit of {limit}")
        told = grant.figures
        if told is None or told.held is None or not item.needs:
            return
        if told.remaining < max(item.needs):
            self._check_shortage(key, told)
            known = self.short.setdefault((holder, item.budget, item.subject), [])
            known.append((self.world.now, told.remaining))
            del known[:-20]

    def _check_window(self, item: DrawItem, grant: Grant) -> None:
        now = (self.scenario.start_us + self.world.now) // MICRO
        start, end = grant.window_start, grant.window_end
        if not end:
            return
        inside = start > now if item.upcoming else start <= now < end
        if not inside:
            self.world.violate(f"{item.budget}: drawn at {now} in the window {start} to {end}")

    def _check_shortage(self, key: AccountKey, told: Figures) -> None:
        """The authority says that so little is left: it must be what it has stored."""
        stored = self.durable.account(key)
        limit = self.limits.get(key[0], 0)
        left = limit if stored is None else limit - stored.settled - stored.overrun
        if told.remaining < left:
            self.false_refusals += 1
            self.world.violate(f"{key}: told {told.remaining}, left are {left}: {stored}")

    def promoted(self) -> None:
        """The database forgot its last commits: its configuration is an older one again."""
        ((self.generation,),) = self.durable.connection.execute(
            "SELECT generation FROM ledger_state"
        ).fetchall()
        budgets = self.scenario.plans.get(self.generation, {})
        self.limits = {plan.id: plan.limit for plan in budgets.values()}

    # What proxies do

    def dispatched(self, process: Process, run: Run | None, call: int) -> None:
        """A call leaves for a provider; `run` is what was journalled just before."""
        if run is None or not run.attempts:
            self.world.violate(f"{process.name} sent call {call} that it did not journal")
            return
        attempt = run.attempts[-1]
        parts = tuple(
            (part.slice_id, part.budget, part.subject, part.amount) for part in attempt.holds
        )
        sent = Sent(run.run_id, attempt.number, run.holder, self.world.now, parts)
        self.sent[call] = self.attempts[run.run_id, attempt.number] = sent
        held: dict[tuple[str, str], int] = {}
        for slice_id, budget, subject, amount in parts:
            held[budget, subject] = held.get((budget, subject), 0) + amount
            drawn = self.slices.get(slice_id)
            if drawn is None or drawn.account[0] != budget or drawn.account[2] != subject:
                self.world.violate(f"call {call} is held in {slice_id}, which was never drawn")
        self._check_accounts(sent, run, held)

    def _check_accounts(self, sent: Sent, run: Run, held: Mapping[tuple[str, str], int]) -> None:
        subjects = {"user": run.user, "session": run.session, "agent": run.agent, None: ""}
        wanted = {
            (plan.id, subjects[plan.per])
            for plan in self.scenario.plans[run.generation].values()
            if run.agent in plan.agents and (plan.unit != "requests" or sent.number == 1)
        }
        if wanted != {key for key, amount in held.items() if amount > 0}:
            self.world.violate(f"{run.run_id} needs {sorted(wanted)} and holds {sorted(held)}")

    def billed(self, line: BillLine) -> None:
        """The provider wrote a line: it has to be within what was held."""
        sent = self.sent.get(line.call)
        if sent is None or sent.line is not None:
            self.world.violate(f"call {line.call} was billed without being sent once")
            return
        sent.line = line
        units = {plan.id: plan.unit for plan in self.scenario.plans[1].values()}
        held: dict[tuple[str, str], int] = {}
        for _, budget, subject, amount in sent.parts:
            held[budget, subject] = held.get((budget, subject), 0) + amount
        for (budget, subject), amount in held.items():
            cost = {"usd": line.pico, "tokens": line.tokens * PICO, "requests": 0}[units[budget]]
            if cost > amount * PICO:
                self.world.violate(
                    f"{budget} of {subject!r} held {amount} for {sent.run_id}, billed {line}"
                )

    def usage_told(self, call: int) -> None:
        """A call's whole answer reached its proxy."""
        sent = self.sent.get(call)
        if sent is not None:
            sent.told_at = self.world.now

    def _check_settlements(self, run: Run) -> None:
        """What came with a usage record in time is charged by it, whatever it says and whether or
        not the client was still there."""
        for attempt in run.attempts:
            sent = self.attempts.get((run.run_id, attempt.number))
            in_time = (
                sent is not None
                and sent.told_at is not None
                and (sent.told_at < sent.at + LANE_TIMEOUT_MS * 1000 - 1000)
            )
            if in_time and attempt.settlement != "usage":
                self.world.violate(
                    f"{run.run_id}/{attempt.number} has a usage record; it is charged as "
                    f"{attempt.settlement}: {attempt.cost_nano}"
                )

    def recorded(self, process: Process, run: Run) -> None:
        """A run ended at its proxy: is what its client was told true?"""
        self.runs += 1
        self._check_settlements(run)
        if not run.refusal:
            return
        self.refused[run.refusal] = self.refused.get(run.refusal, 0) + 1
        began = self.world.now - run.duration_us
        shortage = run.decision.get("shortage", {})
        if run.refusal == "internal":
            self.world.violate(f"{run.run_id} met a fault of our own: {run.refusal_detail}")
        elif run.refusal in ("budget_exhausted", "rate_limited"):
            self._check_exhausted(run, shortage, began)
        elif run.refusal == "store_unavailable":
            if self.scenario.calm:
                self.world.violate(f"{run.run_id}: {run.refusal_detail}")
            known = not run.attempts and shortage.get("budget") in self.limits
            since = max(process.resumed_at, self.heard.get(process.name, -1))
            late = run.duration_us > UNAVAILABLE_US and since < began
            if known and late and shortage.get("unit"):
                self.world.violate(f"{run.run_id} heard after {run.duration_us} us that {shortage}")

    def _check_exhausted(self, run: Run, shortage: Mapping[str, object], began: int) -> None:
        budget, subject = str(shortage["budget"]), str(shortage["subject"])
        needed = int(str(shortage["needed"]))
        self.exhausted.add((budget, subject))
        known = self.short.get((run.holder, budget, subject), [])
        if not any(at >= began - 1_000 and remaining < needed for at, remaining in known):
            self.false_refusals += 1
            self.world.violate(
                f"{run.run_id} was told that {budget} of {subject!r} lacks {needed}; "
                f"the authority said {known[-3:]} and it began at {began}"
            )

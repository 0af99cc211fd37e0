"""What one seed simulates: a company, its budgets, how busy it is, what may go wrong.

Everything is drawn from the seed. The scenario knows budgets and prices in its own plain form, by
which the judge judges; `support.snapshots` turns them into the snapshot that proxies run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from signalbox_proxy.runtime import Runtime
from signalbox_snapshot.snapshot import LongContext, PriceTable, Snapshot, Tier
from simulation.bill import Sheet
from simulation.clients import Asked
from simulation.scheduler import MICRO, World
from support import snapshots as made

AGENTS = ("retail/support", "retail/bot", "wealth/advisor")
MODELS = ("mini", "long")
LANES = ("us", "eu", "backup")
LANE_TIMEOUT_MS = 5_000
USERS = tuple(f"u{number}" for number in range(6))
SESSIONS = tuple(f"s{number}" for number in range(4))
TEXTS = tuple(f"{number} " + "say yes or no to this " * (3 + 5 * number) for number in range(6))

STARTS = (
    1_792_886_400,  # 2026-10-25 00:00 UTC: Berlin puts its clocks back an hour later
    1_774_746_000,  # 2026-03-29 01:00 UTC: and forward
    1_835_395_200,  # 2028-02-29 00:00 UTC
    1_798_761_600,  # 2027-01-01 00:00 UTC
    1_792_454_400,  # any midnight
)

_RATES: Mapping[str, tuple[int, int, int]] = {
    # nano-USD per million tokens, as a multiple of a thousand: pico-USD per token is a whole number
    "mini-us": (250_000_000, 27_500_000, 2_000_000_000),
    "mini-eu": (275_000_000, 30_250_000, 2_200_000_000),
    "mini-backup": (600_300_000, 60_700_000, 4_000_500_000),
    "long-us": (150_000_000, 15_700_000, 600_000_000),
    "long-eu": (165_000_000, 16_900_000, 660_000_000),
    "long-backup": (300_000_000, 33_300_000, 1_200_700_000),
}
_ABOVE = 120
"""Prompt tokens above which the model `long` is twice as dear."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """One budget, as the scenario means it."""

    id: str
    unit: str
    limit: int
    every: str
    count: int
    agents: tuple[str, ...]
    per: str | None = None
    zone: str = "UTC"


def sheets() -> dict[str, Sheet]:
    """The provider's own prices."""
    found = {}
    for name, rates in _RATES.items():
        input_, cached, output = (rate // 1000 for rate in rates)
        long = name.startswith("long")
        found[name] = Sheet(
            input_,
            cached,
            output,
            above=_ABOVE if long else 0,
            long_input=2 * input_,
            long_cached=2 * cached,
            long_output=2 * output,
        )
    return found


class Scenario:
    """The drawn parameters of one seed, and the configurations that follow one another."""

    def __init__(self, world: World) -> None:
        self._world = world
        chance = self._chance = world.chance("scenario")
        self.calm = chance.random() < 0.25
        """Nothing fails and no limit moves: what is said of such seeds is strict."""
        self.postgres = chance.random() < 0.4
        """Several authorities on one database, as with PostgreSQL."""
        self.promotes = self.postgres and not self.calm and chance.random() < 0.35
        """Copies that lag are promoted. Journals live on in such seeds: what was spent through
        one that is gone, and that the database then forgets, nobody could know."""
        self.mean_gap_us = chance.choice((15_000, 30_000, 60_000, 120_000))
        self.burst_share = chance.choice((0.0, 0.3, 0.6))
        self.start_us = (chance.choice(STARTS) - chance.randrange(5, 90)) * MICRO
        self.faults_at_once = 0 if self.calm else chance.randrange(1, 4)
        self.fault_gap_us = chance.choice((800_000, 2_000_000, 5_000_000))
        self.changes = not self.calm and chance.random() < 0.6
        self.honest = self.calm or chance.random() < 0.3
        self.generation = 0
        self.plans: dict[int, dict[str, BudgetPlan]] = {}
        self.runtimes: dict[int, Runtime] = {}
        self._asked = 0
        self._release({plan.id: plan for plan in self._first_budgets()})

    def _first_budgets(self) -> list[BudgetPlan]:
        chance = self._chance
        worth = 1_500_000
        """About what one request holds, in nano-USD."""

        def usd(*times: int) -> int:
            return worth * chance.choice(times) + chance.randrange(1000)

        window = chance.choice((("minute", 1), ("minute", 2), ("hour", 1), ("day", 1)))
        budgets = [
            BudgetPlan("signalbox-system/all", "usd", usd(40, 300, 2000), *window, AGENTS),
            BudgetPlan(
                "retail/domain",
                "usd",
                usd(20, 150, 900),
                *chance.choice((("minute", 1), ("month", 1), ("lifetime", 1))),
                AGENTS[:2],
                zone=chance.choice(("UTC", "Europe/Berlin")),
            ),
        ]
        optional = [
            BudgetPlan("retail/bot", "usd", usd(2, 10, 60), "minute", 1, AGENTS[1:2]),
            BudgetPlan(
                "retail/users",
                "usd",
                usd(3, 12, 90),
                chance.choice(("day", "lifetime")),
                1,
                AGENTS[:2],
                "user",
            ),
            BudgetPlan("retail/rate", "requests", chance.choice((5, 40)), "minute", 1, AGENTS[:1]),
            BudgetPlan(
                "wealth/tokens", "tokens", chance.choice((3_000, 40_000)), "minute", 1, AGENTS[2:]
            ),
            BudgetPlan("wealth/loop", "usd", usd(2, 8), "hour", 1, AGENTS[2:], "session"),
        ]
        return budgets + [plan for plan in optional if chance.random() < 0.4]

    @property
    def budgets(self) -> dict[str, BudgetPlan]:
        """The newest configuration."""
        return self.plans[self.generation]

    @property
    def runtime(self) -> Runtime:
        """The newest configuration, as proxies run it."""
        return self.runtimes[self.generation]

    def _release(self, budgets: dict[str, BudgetPlan]) -> None:
        self.generation += 1
        self.plans[self.generation] = budgets
        self.runtimes[self.generation] = Runtime.build(
            snapshot_of(budgets), version=f"v{self.generation}", generation=self.generation
        )

    def change(self) -> None:
        """Somebody edits a budget: raises, lowers, deletes it, or makes it again."""
        chance = self._chance
        budgets = dict(self.budgets)
        everything = {**self.plans[1], **budgets}
        id_ = chance.choice(sorted(everything))
        plan = everything[id_]
        draw = chance.random()
        if id_ not in budgets:
            budgets[id_] = plan
        elif draw < 0.2 and id_ != "signalbox-system/all":
            del budgets[id_]
        elif draw < 0.6:
            budgets[id_] = replace(plan, limit=max(1, plan.limit * chance.choice((1, 3, 6)) // 8))
        else:
            budgets[id_] = replace(plan, limit=plan.limit * chance.choice((9, 12, 24)) // 8)
        self._release(budgets)

    def ask(self) -> Asked:
        """The next request of a client."""
        chance = self._chance
        self._asked += 1
        leaves = chance.randrange(900_000) if chance.random() < 0.08 else None
        return Asked(
            number=self._asked,
            agent=chance.choice(AGENTS),
            model=chance.choice(MODELS),
            text=chance.choice(TEXTS),
            limit=chance.choice((16, 100, 400, 400, None)),
            stream=chance.random() < 0.35,
            user=chance.choice(USERS),
            session=chance.choice(SESSIONS),
            leaves_after=leaves,
        )


def _table(name: str) -> PriceTable:
    standard = _tier(name, 1)
    if not name.startswith("long"):
        return PriceTable(standard=standard)
    dearer = LongContext(above_tokens=_ABOVE, tier=_tier(name, 2))
    return PriceTable(standard=standard, long_context=dearer)


def _tier(name: str, times: int) -> Tier:
    input_, cached, output = (times * rate for rate in _RATES[name])
    return Tier(
        input=input_, cached_input=cached, cache_write_5m=None, cache_write_1h=None, output=output
    )


def snapshot_of(budgets: Mapping[str, BudgetPlan]) -> Snapshot:
    """The company with these budgets, as the compiler would publish it."""
    models = []
    for model in MODELS:
        lanes = []
        for lane in LANES:
            table = _table(f"{model}-{lane}")
            lanes.append(
                made.lane(
                    lane,
                    upstream_model=f"{model}-{lane}",
                    auth="none",
                    auth_key="",
                    price=table,
                    list_price=table,
                    request_timeout_ms=LANE_TIMEOUT_MS,
                )
            )
        models.append(
            made.model(
                f"{made.PLATFORM}/{model}",
                lanes=lanes,
                limits={"default_output": 400, "max_output": 1000},
                tokenizer="estimate",
            )
        )
    agents = [
        made.agent(
            name, budgets=sorted(plan.id for plan in budgets.values() if name in plan.agents)
        )
        for name in AGENTS
    ]
    return made.snapshot(
        domains=[made.domain("retail/main"), made.domain("wealth/main")],
        agents=agents,
        data_assets=[],
        models=models,
        budgets=[
            made.budget(
                plan.id,
                plan.limit,
                unit=plan.unit,
                per=plan.per,
                window=made.window(plan.every, plan.count, plan.zone),
            )
            for plan in budgets.values()
        ],
    )

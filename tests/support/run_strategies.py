"""Hypothesis strategies: any run that the ledger takes, whatever its fields say."""

from typing import get_args

import msgspec
from hypothesis import strategies as st

from signalbox_ledger import records
from signalbox_ledger.records import Attempt, Charge, HoldPart, Run, Usage, Verdict
from support.recorded_runs import NOON

HOUR = 3_600_000
COUNTS = st.integers(0, 2**40)
PPM = st.integers(0, 1_000_000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
FEW = st.sampled_from(["a", "b", "c"])
INSTANTS = st.integers(NOON - 3 * HOUR, NOON + 3 * HOUR)
DETAILS = st.dictionaries(TEXTS, st.none() | st.booleans() | COUNTS | TEXTS, max_size=3)

USAGES = st.builds(
    Usage,
    input=COUNTS,
    cached_input=COUNTS,
    cache_write_5m=COUNTS,
    cache_write_1h=COUNTS,
    output=COUNTS,
    reasoning=COUNTS,
)
HOLDS = st.builds(HoldPart, slice_id=TEXTS, budget=FEW, subject=TEXTS, amount=COUNTS, spent=COUNTS)
VERDICTS = st.builds(
    Verdict, spec=TEXTS, assertion=TEXTS, passed=st.booleans(), score=PPM, detail=TEXTS
)


@st.composite
def charges(draw: st.DrawFn, attempts: int, kinds: tuple[str, ...]) -> Charge:
    """A line that adds up, on one of so many attempts."""
    base, premium, cache, batch = (draw(COUNTS) for _ in range(4))
    cache, batch = cache % (base + 1) // 2, batch % (base + 1) // 2
    return Charge(
        attempt=draw(st.integers(1, max(1, attempts))),
        meter=draw(st.sampled_from(get_args(records.Meter))),
        quantity=draw(COUNTS),
        unit_price=draw(COUNTS),
        cost=base - cache - batch + premium,
        base=base,
        premium=premium,
        cache_saving=cache,
        batch_saving=batch,
        kind=draw(st.sampled_from(kinds)),  # type: ignore[arg-type]
    )


@st.composite
def attempts(draw: st.DrawFn, number: int) -> Attempt:
    """One call, any end."""
    return Attempt(
        number=number,
        model=draw(FEW),
        lane=draw(FEW),
        lane_class=draw(TEXTS),
        provider=draw(TEXTS),
        upstream_model=draw(TEXTS),
        region=draw(FEW),
        jurisdiction=draw(st.sampled_from(["DE", "US", ""])),
        lane_max_sensitivity=draw(st.integers(0, 3)),
        started_at=draw(INSTANTS),
        duration_us=draw(COUNTS),
        first_chunk_us=draw(st.none() | COUNTS),
        status=draw(st.none() | st.integers(100, 599)),
        outcome=draw(st.sampled_from(get_args(records.AttemptOutcome))),
        settlement=draw(st.sampled_from(get_args(records.Settlement))),
        bound_nano=draw(COUNTS),
        bound_tokens=draw(COUNTS),
        expected_nano=draw(COUNTS),
        usage=draw(st.none() | USAGES),
        cost_nano=draw(COUNTS),
        holds=draw(st.lists(HOLDS, max_size=2)),
        provider_request_id=draw(TEXTS),
        detail=draw(TEXTS),
        wire_format=draw(st.sampled_from([msgspec.UNSET, "openai", "bedrock"])),
    )


@st.composite
def runs(draw: st.DrawFn, run_id: str = "r_any") -> Run:
    """Any run, within the six hours around NOON."""
    tried = [draw(attempts(number)) for number in range(1, draw(st.integers(0, 3)) + 1)]
    billed = draw(st.lists(charges(len(tried), ("usage", "unknown")), max_size=4))
    outcome = draw(st.sampled_from(get_args(records.Outcome)))
    return Run(
        run_id=run_id,
        started_at=draw(INSTANTS),
        domain=draw(FEW),
        agent=draw(FEW),
        focus_account=draw(FEW),
        owner_team=draw(TEXTS),
        surface=draw(TEXTS),
        model_asked=draw(TEXTS),
        workload=draw(FEW),
        task=draw(TEXTS),
        session=draw(TEXTS),
        user=draw(TEXTS),
        sensitivity=draw(st.integers(0, 3)),
        residency_lock=draw(st.none() | st.lists(st.sampled_from(["DE", "FR"]), max_size=2)),
        data_assets=draw(st.lists(FEW, max_size=3)),
        snapshot_version=draw(TEXTS),
        generation=draw(COUNTS),
        holder=draw(TEXTS),
        model=draw(FEW),
        lane=draw(FEW),
        region=draw(FEW),
        route_policy=draw(TEXTS),
        outcome=outcome,
        refusal="budget_exhausted" if outcome == "refused" else draw(TEXTS),
        refusal_detail=draw(TEXTS),
        status=draw(st.integers(0, 599)),
        stream=draw(st.booleans()),
        client_left=draw(st.booleans()),
        cost_nano=sum(charge.cost for charge in billed),
        duration_us=draw(COUNTS),
        first_chunk_us=draw(st.none() | COUNTS),
        eval_score=draw(st.none() | PPM),
        decision=draw(DETAILS),
        dry_run_refusals=draw(st.lists(TEXTS, max_size=2)),
        attempts=tried,
        charges=billed,
        verdicts=draw(st.lists(VERDICTS, max_size=2)),
    )

"""One run whole, for reading: who asked, what was decided and why, what it cost."""

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from signalbox_cli import amounts
from signalbox_cli.terminal import Cell, Heading, print_table, styled
from signalbox_ledger.compliance import sensitivity_name
from signalbox_ledger.meters import MEASURES
from signalbox_ledger.reading import RecordedRun
from signalbox_ledger.records import Attempt, Charge, Run

_LABEL_WIDTH: Final = 12


def print_run(console: Console, recorded: RecordedRun) -> None:
    """Writes a run in sections, from what a reader asks first to what proves it."""
    run = recorded.run
    _head(console, run)
    _decision(console, run)
    _attempts(console, run.attempts)
    _charges(console, [*run.charges, *recorded.corrections])
    _verdicts(console, run)
    _section(console, "Compliance")
    if recorded.compliance.compliant:
        lock = "none" if run.residency_lock is None else amounts.places(run.residency_lock)
        _field(console, "kept", f"residency lock {lock}; class {sensitivity_name(run.sensitivity)}")
    for sentence in recorded.compliance.sentences:
        _field(console, "violated", styled(sentence, "red"))
    console.print()
    _field(
        console, "decided by", f"snapshot {run.snapshot_version[:12]} (generation {run.generation})"
    )
    _field(console, "recorded by", run.holder)


def _head(console: Console, run: Run) -> None:
    console.print(Text.assemble("Run ", (run.run_id, "bold")))
    style = "green" if run.outcome == "answered" else "red" if run.outcome == "failed" else "yellow"
    outcome = f"{run.outcome}, HTTP {run.status}" + (", client left" if run.client_left else "")
    _field(console, "outcome", styled(outcome, style))
    if run.refusal:
        _field(console, "refusal", f"{run.refusal}: {run.refusal_detail}")
    for sentence in run.dry_run_refusals:
        _field(console, "dry run", styled(f"would have been refused: {sentence}", "yellow"))
    _field(console, "when", f"{amounts.instant(run.started_at)}, {_duration(run)}")
    _field(console, "agent", f"{run.agent}  (domain {run.domain}, team {run.owner_team})")
    _field(console, "account", run.focus_account)
    for label, value in (("session", run.session), ("user", run.user), ("task", run.task)):
        if value:
            _field(console, label, value)
    _field(console, "asked", f"{run.model_asked} on {run.surface}, workload {run.workload or '-'}")
    assets = f", touches {', '.join(run.data_assets)}" if run.data_assets else ""
    _field(console, "class", sensitivity_name(run.sensitivity) + assets)
    if run.model:
        _field(console, "served by", f"{run.model} on lane {run.lane} in {run.region}")
    _field(console, "cost", amounts.cost(run.cost_nano))


def _duration(run: Run) -> str:
    took = f"took {amounts.milliseconds(run.duration_us)}"
    if run.first_chunk_us is not None:
        took += f", first chunk after {amounts.milliseconds(run.first_chunk_us)}"
    return took


def _decision(console: Console, run: Run) -> None:
    decision: dict[str, Any] = run.decision
    if not decision:
        return
    _section(console, "Decision")
    policies = ", ".join(decision.get("policies", ())) or "none"
    _field(console, "objective", str(decision.get("objective", "")))
    _field(console, "policies", policies)
    rows: list[list[Cell]] = [
        [
            styled("won" if number == 1 else f"{number}.", "green" if number == 1 else ""),
            _short(each["lane"]),
            amounts.cost(each["expected_nano"]),
            amounts.cost(each["bound_nano"]),
            "best by objective" if number == 1 else "acceptable, in reserve",
        ]
        for number, each in enumerate(decision.get("acceptable", ()), 1)
    ]
    for step, reasons in decision.get("lost", {}).items():
        for reason, models in reasons.items():
            rows += [
                [styled("lost", "red"), _short(f"{model}/{lane}"), "", "", f"{step}: {reason}"]
                for model, lanes in models.items()
                for lane in lanes
            ]
    if rows:
        print_table(
            console,
            [
                Heading(""),
                Heading("CANDIDATE"),
                Heading("EXPECTED", number=True),
                Heading("AT MOST", number=True),
                Heading("WHY", wraps=True),
            ],
            rows,
        )


def _attempts(console: Console, attempts: list[Attempt]) -> None:
    if not attempts:
        return
    _section(console, "Attempts")
    print_table(
        console,
        [
            Heading("#", number=True),
            Heading("LANE"),
            Heading("WHERE"),
            Heading("FORMAT", spare=1),
            Heading("RESULT"),
            Heading("HELD", number=True),
            Heading("COST", number=True),
            Heading("TOOK", number=True),
        ],
        [_attempt(each) for each in attempts],
    )
    for each in attempts:
        if each.detail:
            _field(console, f"attempt {each.number}", each.detail)
        for account, spent, held in _holds(each):
            _field(console, f"hold {each.number}", f"{account}: spent {spent} of {held}")


def _holds(attempt: Attempt) -> Iterator[tuple[str, str, str]]:
    """Account, what was spent and what was held; a hold may be made of several slices' parts."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for part in attempt.holds:
        spent, held = sums.get((part.budget, part.subject), (0, 0))
        sums[part.budget, part.subject] = (spent + part.spent, held + part.amount)
    for (budget, subject), (spent, held) in sums.items():
        unit = _unit(attempt, held)
        account = f"{budget} for {subject}" if subject else budget
        yield account, amounts.amount(spent, unit), amounts.amount(held, unit)


def _attempt(each: Attempt) -> list[Cell]:
    status = f" {each.status}" if each.status is not None else ""
    return [
        str(each.number),
        f"{_short(each.model)}/{each.lane}",
        f"{each.provider} {each.region} {each.jurisdiction}",
        each.wire_format or "",
        styled(f"{each.outcome}{status}", "green" if each.outcome == "answered" else "yellow"),
        amounts.cost(each.bound_nano),
        amounts.cost(each.cost_nano),
        amounts.milliseconds(each.duration_us),
    ]


def _unit(attempt: Attempt, held: int) -> str:
    """The unit of a hold: it is the attempt's bound in money or in tokens, or one request."""
    if held == attempt.bound_nano:
        return "usd"
    return "tokens" if held == attempt.bound_tokens else "requests"


def _charges(console: Console, charges: list[Charge]) -> None:
    if not charges:
        return
    _section(console, "Charges")
    print_table(
        console,
        [
            Heading("METER"),
            Heading("QUANTITY", number=True),
            Heading("PRICE", number=True),
            Heading("PER", spare=4),
            Heading("BASE", number=True),
            Heading("PREMIUM", number=True, spare=1),
            Heading("CACHE SAVED", number=True, spare=2),
            Heading("BATCH SAVED", number=True, spare=3),
            Heading("COST", number=True),
        ],
        [
            [
                each.meter + ("" if each.kind == "usage" else f" ({each.kind})"),
                f"{each.quantity:,}",
                amounts.usd(each.unit_price),
                MEASURES[each.meter].unit,
                amounts.cost(each.base),
                amounts.cost(each.premium),
                amounts.cost(each.cache_saving),
                amounts.cost(each.batch_saving),
                amounts.cost(each.cost),
            ]
            for each in charges
        ],
    )


def _verdicts(console: Console, run: Run) -> None:
    if not run.verdicts:
        return
    _section(console, "Verdicts")
    for each in run.verdicts:
        mark = styled("passed", "green") if each.passed else styled("failed", "red")
        text = Text.assemble(mark, f"  {each.assertion}", f": {each.detail}" if each.detail else "")
        _field(console, each.spec or "built in", text)


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(title, style="bold")


def _field(console: Console, label: str, value: Cell) -> None:
    text = value if isinstance(value, Text) else Text(value)
    line = Text.assemble((f"  {label:<{_LABEL_WIDTH}}", "dim"), text)
    console.print(line, soft_wrap=not console.is_terminal)


def _short(identity: str) -> str:
    """A model's or lane's id without its namespace: models live in the platform's alone."""
    return identity.partition("/")[2] or identity

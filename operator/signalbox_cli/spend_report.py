"""`signalbox report spend`: who spent how much, on what, by any grouping."""

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from signalbox_cli import amounts
from signalbox_cli.options import Duration, state_option
from signalbox_cli.runs import ledger
from signalbox_cli.terminal import Cell, Heading, err, out, print_table
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.losses import Loss, losses
from signalbox_ledger.money import format_usd
from signalbox_ledger.reports import DIMENSIONS, PERIODS, SpendLine, SpendReport, Sums
from signalbox_ledger.reports import spend as spend_by

_PPM_PER_TENTH: Final = 1_000


@click.command("spend", short_help="Who spent how much, on what.")
@click.option(
    "--by",
    default="domain,agent",
    show_default=True,
    help=f"Grouping, comma-separated: {', '.join(DIMENSIONS)}, and one of {', '.join(PERIODS)}.",
)
@click.option(
    "--since",
    type=Duration(),
    default="1d",
    show_default=True,
    metavar="1h",
    help="How far back.",
)
@click.option(
    "-o", "--output", type=click.Choice(["json", "csv"]), help="Another form than the table."
)
@state_option
def spend(by: str, since: int, output: str | None, state: Path) -> None:
    """Runs, tokens and money by group, the dearest first.

    PREMIUM is what was paid for a region, SAVED what caches and batch lanes took off. What was
    written off with lost proxies is shown apart, by account: one call held money in each of its
    budgets.

    Exit codes: 0 shown, 1 no ledger, 2 wrong command line.
    """
    now = time.time_ns() // 1_000_000
    names = [name.strip() for name in by.split(",")]
    with ledger(state) as reader:
        try:
            report = spend_by(reader, by=names, since=now - since * 1000, until=now + 1)
            lost = losses(reader, since=now - since * 1000, until=now + 1)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--by") from None
    if output == "json":
        document = _document(report) | {"losses": [_loss(loss) for loss in lost]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif output == "csv":
        _csv(report)
    elif not report.lines:
        err().print("No runs found.")
    else:
        _table(report)
    if output is None:
        for loss in lost:
            said = _loss(loss)
            account = f"{loss.budget} of {loss.subject}" if loss.subject else loss.budget
            err().print(
                f"Not in these figures: {said['amount']} {loss.unit} of Budget {account}, written "
                f"off with {loss.holder}."
            )


def _table(report: SpendReport) -> None:
    titles = [Heading(name.upper().replace("_", "-")) for name in report.by]
    spare = {"SAVED": 6, "PREMIUM": 5, "REFUSED": 4, "INPUT": 3, "OUTPUT": 2, "SHARE": 1}
    names = ("RUNS", "REFUSED", "INPUT", "OUTPUT", "COST", "SHARE", "PREMIUM", "SAVED")
    numbers = [Heading(name, number=True, spare=spare.get(name, 0)) for name in names]
    rows = [_row([line.key[name] or "-" for name in report.by], line) for line in report.lines]
    if len(report.lines) > 1:
        total = SpendLine(key={}, sums=report.total, share_ppm=1_000_000)
        blank = [""] * max(len(report.by) - 1, 0)
        rows.append(_row(["total", *blank][: len(report.by)], total))
    print_table(out(), titles + numbers, rows)


def _row(keys: list[str], line: SpendLine) -> list[Cell]:
    sums = line.sums
    tenths = line.share_ppm // _PPM_PER_TENTH
    return [
        *keys,
        f"{sums.runs:,}",
        f"{sums.refused:,}",
        f"{sums.tokens_input + sums.tokens_cached:,}",
        f"{sums.tokens_output:,}",
        amounts.cost(sums.cost_nano_usd),
        f"{tenths // 10}.{tenths % 10}%",
        amounts.cost(sums.premium_nano_usd),
        amounts.cost(sums.cache_saving_nano_usd + sums.batch_saving_nano_usd),
    ]


def _document(report: SpendReport) -> dict[str, Any]:
    return {
        "by": list(report.by),
        "since": timestamp_text(report.since),
        "until": timestamp_text(report.until),
        "items": [line.key | _sums(line.sums) for line in report.lines],
        "total": _sums(report.total),
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "budget": loss.budget,
        "subject": loss.subject,
        "unit": loss.unit,
        "amount": format_usd(loss.amount) if loss.unit == "usd" else loss.amount,
        "slices": loss.slices,
        "holder": loss.holder,
        "posted_at": timestamp_text(loss.posted_at),
    }


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        "runs": sums.runs,
        "answered": sums.answered,
        "refused": sums.refused,
        "tokens_input": sums.tokens_input,
        "tokens_cached": sums.tokens_cached,
        "tokens_output": sums.tokens_output,
        "cost_usd": format_usd(sums.cost_nano_usd),
        "base_usd": format_usd(sums.base_nano_usd),
        "premium_usd": format_usd(sums.premium_nano_usd),
        "cache_saving_usd": format_usd(sums.cache_saving_nano_usd),
        "batch_saving_usd": format_usd(sums.batch_saving_nano_usd),
    }


def _csv(report: SpendReport) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*report.by, *_sums(report.total)])
    for line in report.lines:
        writer.writerow([*line.key.values(), *_sums(line.sums).values()])

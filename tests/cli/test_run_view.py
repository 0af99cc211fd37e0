"""One run whole reads right, also where a hold was made of several slices' parts."""

import io

from rich.console import Console

from signalbox_cli.run_view import print_run
from signalbox_ledger.compliance import judge
from signalbox_ledger.reading import RecordedRun
from signalbox_ledger.records import HoldPart
from support.recorded_runs import make_attempt, make_run


def shown(**changed: object) -> str:
    run = make_run(**changed)
    text = io.StringIO()
    recorded = RecordedRun(position=1, run=run, compliance=judge(run), corrections=[])
    print_run(Console(file=text, width=100), recorded)
    return text.getvalue()


def test_a_hold_of_several_parts_is_one_line_in_its_unit() -> None:
    parts = [
        HoldPart(slice_id="s1", budget="shop/day", subject="", amount=300_000, spent=300_000),
        HoldPart(slice_id="s2", budget="shop/day", subject="", amount=700_000, spent=100_000),
        HoldPart(slice_id="s3", budget="shop/rate", subject="", amount=1, spent=1),
        HoldPart(slice_id="s4", budget="shop/tokens", subject="ann", amount=2_000, spent=900),
    ]
    attempt = make_attempt(bound_nano=1_000_000, bound_tokens=2_000, holds=parts)
    text = shown(attempts=[attempt])
    assert "hold 1      shop/day: spent $0.0004 of $0.001\n" in text
    assert "hold 1      shop/rate: spent 1 requests of 1 requests\n" in text
    assert "hold 1      shop/tokens for ann: spent 900 tokens of 2,000 tokens\n" in text


def test_what_a_dry_run_would_have_refused_is_told() -> None:
    text = shown(dry_run_refusals=["budget_exhausted: shop/day has $0.00 left, $0.01 needed"])
    assert "would have been refused: budget_exhausted: shop/day" in text


def test_a_broken_lock_stands_out() -> None:
    attempt = make_attempt(jurisdiction="US")
    text = shown(residency_lock=["DE"], attempts=[attempt])
    assert "violated" in text

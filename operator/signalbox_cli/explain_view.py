"""An explanation as people read it, and as JSON."""

from typing import Any, Final

from rich.console import Console
from rich.text import Text

from signalbox_cli import amounts
from signalbox_cli.explain_meters import audio_document, counted, units_document
from signalbox_cli.explaining import AccountView, Explanation
from signalbox_cli.terminal import Cell, Heading, print_table, styled
from signalbox_ledger.money import format_usd
from signalbox_proxy.classification import Facts
from signalbox_proxy.prompt_caching import SURFACES, caching_of
from signalbox_proxy.quotes import Quote
from signalbox_proxy.routing import Decision
from signalbox_proxy.wire_formats import cache_write_on, places_points
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES, PromptCaching

_WIDTH: Final = 11

CACHING: Final[dict[PromptCaching, str]] = {
    "Keep": "the client's own cache points are kept",
    "Place": "cache points are placed where the client set none",
    "Off": "cache points are taken out",
}


def print_explanation(console: Console, explanation: Explanation) -> None:
    """Writes the steps in the order in which they are taken, and what comes of them."""
    question = explanation.question
    if explanation.facts is None:
        _line(console, "Agent", question.agent)
    else:
        _facts(console, explanation.facts)
    if explanation.decision is not None:
        _decision(console, explanation.decision, explanation.sent_to)
    if explanation.accounts:
        _accounts(console, explanation.accounts)
    console.print()
    _line(console, "Result", _result(explanation))


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """The same as JSON; amounts of money are decimal strings of USD."""
    facts, decision, refusal = explanation.facts, explanation.decision, explanation.refusal
    return {
        "agent": explanation.question.agent,
        "surface": explanation.question.surface,
        "domain": facts.domain.id if facts else None,
        "workload": facts.workload if facts else None,
        "sensitivity": SENSITIVITY_NAMES[facts.sensitivity] if facts else None,
        "residencyLock": sorted(facts.jurisdictions)
        if facts and facts.jurisdictions is not None
        else None,
        "dataAssets": [asset.id for asset in facts.data_assets] if facts else [],
        "modelAsked": decision.asked if decision else None,
        "objective": decision.objective if decision else None,
        "policies": list(decision.policy.policies) if decision else [],
        "promptCaching": caching_of(decision.policy) if decision else None,
        "storesAnswer": decision.request.stores if decision else None,
        "candidates": _candidates(decision) if decision else [],
        "dryRunRefusals": list(decision.dry_run_refusals) if decision else [],
        "budgets": [_budget(view) for view in explanation.accounts],
        "refusal": {
            "code": refusal.code,
            "status": refusal.http_status,
            "message": refusal.message,
            "param": refusal.param or None,
        }
        if refusal
        else None,
    }


def _facts(console: Console, facts: Facts) -> None:
    _line(
        console, "Agent", f"{facts.agent.id}, domain {facts.domain.id}, account "
        f"{facts.domain.focus_account}",
    )  # fmt: skip
    touched = ", ".join(asset.id for asset in facts.data_assets)
    because = f", because it touches {touched}" if touched else ""
    _line(console, "Class", SENSITIVITY_NAMES[facts.sensitivity] + because)
    lock = facts.jurisdictions
    _line(console, "Lock", "none" if lock is None else f"only {amounts.places(lock)}")
    _line(console, "Workload", facts.workload or "none")


def _decision(console: Console, decision: Decision, sent_to: list[Quote]) -> None:
    policies = ", ".join(decision.policy.policies) or "none that match"
    _line(console, "Policies", policies)
    _line(console, "Asked for", f"{decision.asked}; the {decision.objective} acceptable lane wins")
    if decision.request.surface in SURFACES:
        _line(console, "Caching", _caching(decision))
    if decision.request.surface == "responses":
        _line(console, "Stored", _stored(decision))
    rows: list[list[Cell]] = [
        [
            styled("won", "green") if rank == 1 else f"{rank}.",
            _short(quote.lane.id),
            f"{quote.lane.lane.region} {quote.lane.lane.jurisdiction}",
            "free" if quote.is_free else amounts.cost(quote.expected_nano),
            amounts.cost(quote.worst_nano),
            counted(quote),
            _why(rank, quote, sent_to),
        ]
        for rank, quote in enumerate(decision.ranking, 1)
    ]
    rows += [
        [
            styled("lost", "red"),
            _short(loss.lane.id),
            f"{loss.lane.lane.region} {loss.lane.lane.jurisdiction}",
            "",
            "",
            "",
            f"{loss.step.replace('_', ' ')}: {loss.reason}",
        ]
        for loss in decision.losses
    ]
    if rows:
        console.print()
        titles = [Heading(""), Heading("CANDIDATE"), Heading("WHERE")]
        money = [Heading("EXPECTED", number=True), Heading("AT MOST", number=True)]
        why = [Heading("COUNTS AT MOST"), Heading("WHY", wraps=True)]
        print_table(console, [*titles, *money, *why], rows)
    for sentence in decision.dry_run_refusals:
        _line(console, "Dry run", styled(f"would be refused by {sentence}", "yellow"))


def _why(rank: int, quote: Quote, sent_to: list[Quote]) -> str:
    """Why a lane stands where it does, where that is not the cost alone."""
    if quote not in sent_to:
        return "ranks the model that is counted for, and counts nothing itself"
    return "" if rank == 1 else "acceptable: tried if the ones above fail"


def _caching(decision: Decision) -> str:
    """What becomes of cache points, by whose word, and where they go."""
    chosen = decision.policy.preferences.caching
    by = "" if chosen is None else f", by {chosen.policy}"
    text = f"{CACHING[caching_of(decision.policy)]}{by}"
    placed = [quote for quote in decision.ranking if places_points(decision.request, quote.lane)]
    if not placed:
        return text
    return f"{text}; on " + ", ".join(_short(quote.lane.id) for quote in placed)


def _stored(decision: Decision) -> str:
    """Whether the provider stores the answer, by whose word, and what is not asked here."""
    stated = decision.policy.constraints.storage
    by = ", no policy allows it" if stated is None else f", {stated.policy} says {stated.value}"
    text = ("yes" if decision.request.stores else "no") + by
    if not decision.request.previous_response:
        return text
    return f"{text}; previous_response_id is looked up when it is sent: leave it out here"


def _accounts(console: Console, accounts: list[AccountView]) -> None:
    console.print()
    rows: list[list[Cell]] = []
    for view in accounts:
        budget = view.account.budget
        left = "?" if view.left is None else amounts.needed(view.left.remaining, budget.unit)
        needed = "" if view.needed is None else amounts.needed(view.needed, budget.unit)
        subject = f" ({budget.per} {view.account.subject or '-'})" if budget.per else ""
        limit = amounts.needed(budget.limit, budget.unit)
        rows.append([budget.id + subject, needed, left, limit, _verdict(view)])
    numbers = [Heading("NEEDS", number=True), Heading("LEFT", number=True)]
    limit_title = Heading("LIMIT", number=True, spare=1)
    titles = [Heading("BUDGET"), *numbers, limit_title, Heading("VERDICT", wraps=True)]
    print_table(console, titles, rows)


def _verdict(view: AccountView) -> Cell:
    if view.fits is None:
        return "unknown: nothing runs" if view.left is None else ""
    if not view.fits:
        if not view.account.enforced:
            return styled("DryRun: recorded, not refused", "yellow")
        return styled("does not fit: refused", "red")
    if view.lowered_to is not None:
        return styled(f"fits with {view.lowered_to} output tokens", "yellow")
    return styled("fits", "green")


def _result(explanation: Explanation) -> Cell:
    refusal = explanation.refusal
    if refusal is not None:
        return styled(f"{refusal.http_status} {refusal.code}: {refusal.message}", "red")
    short = [view for view in explanation.accounts if view.account.enforced and view.fits is False]
    if short:
        names = ", ".join(view.account.budget.id for view in short)
        return styled(f"refused for now: not enough left in {names}", "red")
    if explanation.decision is None or not explanation.decision.ranking:
        return styled("refused", "red")
    best = explanation.decision.ranking[0]
    if not explanation.sent_to:
        model = best.lane.model
        text = f"counted by the proxy with the {model.tokenizer} tokenizer of {model.name}"
        return styled(f"{text}: an estimate, for nothing, and nothing is sent", "green")
    best = explanation.sent_to[0]
    limit = "" if best.output_limit is None else f", at most {best.output_limit:,} output tokens"
    lane = best.lane.lane
    return Text.assemble(
        (f"sent to {_short(best.lane.id)}", "green"),
        f" ({lane.provider}, {lane.region}){limit}; holds {amounts.usd(best.worst_nano)}",
    )


def _candidates(decision: Decision) -> list[dict[str, Any]]:
    won = [
        {
            "lane": quote.lane.id,
            "region": quote.lane.lane.region,
            "jurisdiction": quote.lane.lane.jurisdiction,
            "rank": rank,
            "expectedUsd": format_usd(quote.expected_nano),
            "boundUsd": format_usd(quote.worst_nano),
            "isFree": quote.is_free,
            "boundUnits": units_document(quote),
            "boundAudio": audio_document(quote),
            "boundTokens": {"input": quote.bound.input, "output": quote.bound.output},
            "cachePoints": "placed" if places_points(decision.request, quote.lane) else "kept",
            "cacheWriteHeld": cache_write_on(decision.request, quote.lane),
        }
        for rank, quote in enumerate(decision.ranking, 1)
    ]
    lost = [
        {
            "lane": loss.lane.id,
            "region": loss.lane.lane.region,
            "jurisdiction": loss.lane.lane.jurisdiction,
            "lostAt": loss.step,
            "reason": loss.reason,
        }
        for loss in decision.losses
    ]
    return [*won, *lost]


def _budget(view: AccountView) -> dict[str, Any]:
    budget = view.account.budget

    def text(value: int | None) -> str | int | None:
        return format_usd(value) if value is not None and budget.unit == "usd" else value

    return {
        "budget": budget.id,
        "subject": view.account.subject,
        "unit": budget.unit,
        "limit": text(budget.limit),
        "needs": text(view.needed),
        "left": text(view.left.remaining if view.left else None),
        "fits": view.fits,
        "enforcement": budget.enforcement,
        "loweredOutputTokens": view.lowered_to,
    }


def _line(console: Console, label: str, value: Cell) -> None:
    text = value if isinstance(value, Text) else Text(value)
    console.print(
        Text.assemble((f"{label:<{_WIDTH}}", "bold"), text), soft_wrap=not console.is_terminal
    )


def _short(identity: str) -> str:
    return identity.partition("/")[2] or identity

"""What `signalbox up` shows once it serves: what runs, who may ask at what cost, how to try it."""

import json
import shlex
from collections.abc import Sequence

from rich.console import Console

from signalbox_cli import amounts
from signalbox_cli.dev_keys import DevKey
from signalbox_cli.settings import UpSettings
from signalbox_cli.terminal import Cell, Heading, print_table
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES, Snapshot

PROMPT = "Say hello in one sentence."


def print_start(
    console: Console, settings: UpSettings, snapshot: Snapshot, keys: Sequence[DevKey]
) -> None:
    """Writes the screen; the last line is a command that can be pasted."""
    console.print()
    providers = "a simulated provider" if settings.simulate else "the real providers"
    proxies = "1 proxy" if settings.proxies == 1 else f"{settings.proxies} proxies"
    console.print(f"Signalbox runs: {proxies}, {providers}.", style="bold green")
    _places(console, settings)
    if snapshot.agents:
        console.print()
        _agents(console, snapshot)
    _next_steps(console, snapshot, keys)
    if keys:
        _variables(console, settings, keys[0])
        _command(console, settings, snapshot, keys[0])
    else:
        console.print()
        console.print(
            "No agent has a key of this machine: start with --dev-key NAMESPACE/AGENT, or make one"
            " with `signalbox key new`."
        )


def _places(console: Console, settings: UpSettings) -> None:
    last = settings.proxies - 1
    metrics = settings.metrics_url
    if last:
        metrics += f" and up to {settings.metrics_port + last}"
    for label, value in (
        ("traffic", f"{settings.url}  (OpenAI and Anthropic APIs)"),
        ("metrics", metrics),
        ("manifests", f"{settings.manifests}  (edit a file: it is released at once)"),
        ("state", f"{settings.state.root}  (logs in logs/)"),
    ):
        console.print(f"  [dim]{label:<10}[/dim]{value}", soft_wrap=True)


def _agents(console: Console, snapshot: Snapshot) -> None:
    budgets = {budget.id: budget for budget in snapshot.budgets}
    rows: list[list[Cell]] = [
        [
            agent.id,
            SENSITIVITY_NAMES[agent.max_sensitivity],
            "; ".join(_limit(budgets[name]) for name in agent.budgets) or "none: nothing runs",
        ]
        for agent in snapshot.agents
    ]
    print_table(
        console, [Heading("AGENT"), Heading("MAY SEND"), Heading("BUDGETS", wraps=True)], rows
    )


def _limit(budget: wire.Budget) -> str:
    window = budget.window
    every = window.every if window.count == 1 else f"{window.count} {window.every}s"
    per = f" per {budget.per}" if budget.per else ""
    span = "in all" if window.every == "lifetime" else f"/ {every}"
    dry = " (DryRun)" if budget.enforcement == "DryRun" else ""
    return f"{amounts.amount(budget.limit, budget.unit)}{per} {span}{dry}"


def _next_steps(console: Console, snapshot: Snapshot, keys: Sequence[DevKey]) -> None:
    agent = (
        keys[0].agent if keys else next((each.id for each in snapshot.agents), "NAMESPACE/AGENT")
    )
    model = _model(snapshot, agent)
    console.print()
    console.print("In another terminal:", style="bold")
    for line in (
        "signalbox runs -w                    what is asked, answered, charged",
        "signalbox get budgets -w             what is left",
        f'signalbox explain --agent {agent} --model {model} --prompt "Hello"',
    ):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _variables(console: Console, settings: UpSettings, key: DevKey) -> None:
    console.print()
    console.print(f"Copy into a shell, to ask as {key.agent}:", style="bold")
    console.print()
    for line in (
        f"OPENAI_BASE_URL={settings.url}/v1",
        f"OPENAI_API_KEY={key.key}",
        f"ANTHROPIC_BASE_URL={settings.url}",
        f"ANTHROPIC_API_KEY={key.key}",
    ):
        console.out(line, highlight=False)
    console.print()


def _command(console: Console, settings: UpSettings, snapshot: Snapshot, key: DevKey) -> None:
    body = json.dumps(
        {
            "model": _model(snapshot, key.agent),
            "messages": [{"role": "user", "content": PROMPT}],
        }
    )
    words = [
        "curl",
        f"{settings.url}/v1/chat/completions",
        "-H",
        f"Authorization: Bearer {key.key}",
        "-H",
        "Content-Type: application/json",
        "-d",
        body,
    ]
    console.out(shlex.join(words), highlight=False)


def _model(snapshot: Snapshot, agent_id: str) -> str:
    """The cheapest chat model that the agent may use and that speaks the API of the example."""
    agent = next((each for each in snapshot.agents if each.id == agent_id), None)
    allowed = agent.models if agent is not None else None
    prices = [
        (lane.price.standard.output, model.name)
        for model in snapshot.models
        for lane in model.lanes
        if "chat" in model.capabilities and (allowed is None or model.id in allowed)
        if lane.price is not None and lane.wire_format == "openai"
    ]
    return min(prices)[1] if prices else "auto"

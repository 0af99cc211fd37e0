"""`signalbox explain`: what would happen to a request. Nothing is called, nothing is reserved."""

import time
from pathlib import Path
from typing import Any, Final

import click

from signalbox_cli.explain_view import explanation_document, print_explanation
from signalbox_cli.explaining import Left, Question, SurfaceChoice, explain
from signalbox_cli.failure import Failure
from signalbox_cli.options import (
    AgentName,
    cluster_option,
    fleet_option,
    platform_namespace_option,
    state_option,
)
from signalbox_cli.printer import document
from signalbox_cli.releases import ClusterReleases
from signalbox_cli.runtimes import cluster_runtime, compiled_runtime, released_runtime
from signalbox_cli.terminal import out
from signalbox_cli.up_client import UpClient
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
DEFAULT_MAX_TOKENS: Final = 1024
"""Output limit of a Messages request that states none: that API insists on one."""


@click.command("explain", short_help="Show what would happen to a request.")
@click.argument("manifests", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--agent", required=True, metavar="NAMESPACE/AGENT", type=AgentName())
@click.option("--model", help="Model, alias or auto, as the client would ask for it.")
@click.option("--prompt", help="Text of the request.")
@click.option(
    "--file", "request_file", type=click.File("rb"), help="A whole request body; - reads stdin."
)
@click.option(
    "--surface",
    type=click.Choice(["chat", "responses", "messages", "embeddings"]),
    default="chat",
    show_default=True,
    help="API that the client speaks.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), help="Output limit that the client sets.")
@click.option("--workload", help="As the header x-signalbox-workload.")
@click.option("--sensitivity", type=click.Choice(SENSITIVITY_NAMES), help="As the header.")
@click.option("--data-asset", "data_assets", multiple=True, help="As the header; repeatable.")
@click.option("--task", help="As the header x-signalbox-task.")
@click.option("--user", help="As the header x-signalbox-user.")
@click.option("--session", help="As the header x-signalbox-session.")
@click.option("--pin", is_flag=True, help="As the header: that model, or a refusal.")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Another form.")
@cluster_option
@fleet_option
@state_option
@platform_namespace_option
def command(  # noqa: PLR0913  one for each option
    manifests: Path | None,
    agent: str,
    surface: SurfaceChoice,
    output: str | None,
    cluster: bool,
    fleet: str,
    state: Path,
    platform_namespace: str,
    **asked: Any,
) -> None:
    """Show what would happen to a request: identity, class, lock, every candidate with its cost
    and why it won or lost, and the budgets that apply. Nothing is called.

    Decides by the manifests in DIR, or, without DIR, by the snapshot that the Signalbox on --state
    has released, or, with --cluster, by that of a cluster's operator. What budgets have left is
    shown while one runs on --state.

    Exit codes: 0 it would be sent, 1 it would be refused or cannot be explained, 2 wrong command
    line.
    """
    if manifests and (cluster or fleet):
        raise click.UsageError("decide by the manifests in DIR or by --cluster, not by both")
    left: dict[tuple[str, str], Left] = {}
    if cluster or fleet:
        runtime = cluster_runtime(ClusterReleases(platform_namespace, fleet))
    else:
        left = _left(UpClient(state))
        runtime = (
            compiled_runtime(manifests, platform_namespace)
            if manifests
            else released_runtime(state)
        )
    question = Question(agent, surface, _body(surface, asked), _headers(asked), int(time.time()))
    try:
        explanation = explain(runtime, question, left)
    except LookupError:
        known = ", ".join(sorted(runtime.agents)) or "none"
        raise Failure(f"there is no agent {agent} in force; there are {known}") from None
    if output:
        click.echo(document(explanation_document(explanation), output), nl=False)
    else:
        print_explanation(out(), explanation)
    short = any(each.account.enforced and each.fits is False for each in explanation.accounts)
    if explanation.refusal is not None or short:
        raise SystemExit(1)


def _body(surface: str, asked: dict[str, Any]) -> dict[str, Any]:
    stream = asked["request_file"]
    if stream is not None:
        raw = stream.read(MAX_REQUEST_BYTES + 1)
        if len(raw) > MAX_REQUEST_BYTES:
            raise Failure(f"the request is larger than {MAX_REQUEST_BYTES >> 20} MiB; send less")
        try:
            return decode_body(raw, "application/json", "")
        except Refusal as refusal:
            raise Failure(f"{refusal.code}: {refusal.message}") from None
    if not asked["model"] or asked["prompt"] is None:
        raise click.UsageError("say --model and --prompt, or --file with a request body")
    body: dict[str, Any] = {"model": asked["model"]}
    if surface == "embeddings":
        return body | {"input": asked["prompt"]}
    if surface == "responses":
        limit = {"max_output_tokens": asked["max_tokens"]} if asked["max_tokens"] else {}
        return body | {"input": asked["prompt"]} | limit
    body["messages"] = [{"role": "user", "content": asked["prompt"]}]
    if surface == "messages":
        return body | {"max_tokens": asked["max_tokens"] or DEFAULT_MAX_TOKENS}
    if asked["max_tokens"]:
        body["max_completion_tokens"] = asked["max_tokens"]
    return body


def _headers(asked: dict[str, Any]) -> dict[str, str]:
    names = ("workload", "sensitivity", "task", "user", "session")
    headers = {f"x-signalbox-{name}": asked[name] for name in names if asked[name]}
    if asked["data_assets"]:
        headers["x-signalbox-data-assets"] = ",".join(asked["data_assets"])
    if asked["pin"]:
        headers["x-signalbox-pin"] = "true"
    return headers


def _left(client: UpClient) -> dict[tuple[str, str], Left]:
    try:
        accounts = client.status()["accounts"]
    except Failure:
        return {}
    return {
        (each["budget"], each["subject"]): Left(each["remaining"], each["window_end"])
        for each in accounts
    }

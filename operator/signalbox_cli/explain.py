"""`signalbox explain`: what would happen to a request. Nothing is called, nothing is reserved."""

import time
from pathlib import Path
from typing import Any

import click

from signalbox_cli.explain_bodies import body_of
from signalbox_cli.explain_view import explanation_document, print_explanation
from signalbox_cli.explaining import Left, Question, explain
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
from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.surfaces import SURFACES
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES


@click.command("explain", short_help="Show what would happen to a request.")
@click.argument("manifests", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--agent", required=True, metavar="NAMESPACE/AGENT", type=AgentName())
@click.option("--model", help="Model, alias or auto, as the client would ask for it.")
@click.option("--prompt", help="Text of the request; of a ranking, its query.")
@click.option(
    "--file", "request_file", type=click.File("rb"), help="A whole body of JSON; - reads stdin."
)
@click.option(
    "--surface",
    type=click.Choice([surface.name for surface in SURFACES]),
    default="chat",
    show_default=True,
    help="API that the client speaks.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), help="Output limit that the client sets.")
@click.option("--images", type=click.IntRange(min=1), help="Images: how many are asked for.")
@click.option("--size", help="Images: such as 1024x1024.")
@click.option("--quality", help="Images: such as hd.")
@click.option("--document", multiple=True, help="Rerank: a text that is ranked; repeatable.")
@click.option(
    "--audio",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Transcriptions: the file of sound.",
)
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
    surface: SurfaceName,
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
    question = Question(agent, surface, body_of(surface, asked), _headers(asked), int(time.time()))
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

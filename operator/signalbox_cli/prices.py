"""`signalbox prices`: public price data into Models, and what differs from those in force.

Nothing is fetched: files are given. Nothing is taken over by itself: what is printed is for
people to read, keep and apply.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import yaml

from signalbox_cli.failure import Failure
from signalbox_cli.manifest_folder import read
from signalbox_cli.options import platform_namespace_option
from signalbox_cli.price_data import UnbelievableError
from signalbox_cli.price_files import PriceFile, read_file
from signalbox_cli.price_models import SOURCE, Place, differences, find, new_model, own_lanes
from signalbox_cli.price_models import refreshed as refresh

_ENDPOINTS: Final = {
    "openai": ("https://api.openai.com/v1", "openai"),
    "anthropic": ("https://api.anthropic.com", "anthropic"),
    "mistral": ("https://api.mistral.ai/v1", "openai"),
    "groq": ("https://api.groq.com/openai/v1", "openai"),
    "gemini": ("https://generativelanguage.googleapis.com", "gemini"),
}
"""Public endpoints of providers, and the format that they speak."""

_files = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
_day = click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day as of which prices are taken. Default: the day of the file.",
)


@click.group("prices", short_help="Take public prices into Models, and compare them.")
def command() -> None:
    """Take public prices into Models, and compare them with what Models state."""


@command.command("import", short_help="Print Models with public prices.")
@_files
@click.option("--onto", type=click.Path(exists=True, path_type=Path), help="Manifests to refresh.")
@click.option("--new", "wanted", multiple=True, metavar="PROVIDER/MODEL", help="A Model to make.")
@click.option("--endpoint", help="Of new Models' lanes. Default: the provider's public one.")
@click.option("--wire-format", type=click.Choice(["openai", "anthropic", "bedrock", "gemini"]))
@click.option("--key", help="Name of the credential. Default: the provider's name.")
@click.option("--region", help="Where new Models' lanes serve.")
@click.option("--jurisdiction", help="The country whose law they are under.")
@click.option("--max-sensitivity", help="The highest class that may be sent to them.")
@_day
@platform_namespace_option
def import_prices(
    files: tuple[Path, ...],
    onto: Path | None,
    wanted: tuple[str, ...],
    day: datetime | None,
    platform_namespace: str,
    **place: str | None,
) -> None:
    """Print Models as YAML, with prices of FILE and where each comes from.

    FILE is LiteLLM's model_prices_and_context_window.json or the data.json of genai-prices; the
    first that knows a model is believed. --onto refreshes the Models of manifests, --new makes
    one. Where a lane is, and what may go there, no price data knows: that is asked for.
    """
    if not wanted and onto is None:
        raise click.UsageError("Say which Models: --onto DIR, or --new PROVIDER/MODEL.")
    read_files = _read(files, day)
    models = [_made(read_files, each, place, platform_namespace) for each in wanted]
    if onto is not None:
        models += _refreshed(read_files, onto)
    click.echo(yaml.safe_dump_all(models, sort_keys=False, allow_unicode=True), nl=False)


@command.command("diff", short_help="Compare public prices with Models.")
@_files
@click.argument("manifests", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@_day
def diff(files: tuple[Path, ...], manifests: Path, day: datetime | None) -> None:
    """Compare what Models in DIR state with the prices of FILE.

    List prices are compared: a multiplier counts, a regional premium does not.

    Exit codes: 0 nothing differs, 1 something does, 2 wrong command line.
    """
    read_files = _read(files, day)
    found = 0
    for model in _models(manifests):
        name = f"{model['metadata']['namespace']}/{model['metadata']['name']}"
        if SOURCE not in model["metadata"].get("annotations", {}):
            click.echo(f"{name}: its price has no source")
        known = [entry for lane in own_lanes(model) if (entry := find(read_files, lane))]
        for obstacle in sorted({public.obstacle for _, public in known if public.obstacle}):
            click.echo(f"{name}: not compared: {obstacle}")
        if not known:
            click.echo(f"{name}: not in the data")
        for each in differences(read_files, model):
            found += 1
            click.echo(
                f"{name} {each.lane} {each.meter}: "
                f"{each.stated or 'no price'}, in the data {each.public or 'no price'}"
            )
    click.echo(f"{found} {'difference' if found == 1 else 'differences'}")
    if found:
        raise SystemExit(1)


def _read(files: Sequence[Path], day: datetime | None) -> list[PriceFile]:
    try:
        return [read_file(path, day.date() if day else None) for path in files]
    except UnbelievableError as error:
        raise Failure(f"{error}. Take prices from a file that can be believed.") from None


def _models(folder: Path) -> list[dict[str, Any]]:
    loaded = read(folder)
    if loaded.problems:
        first = loaded.problems[0]
        raise Failure(f"{first.file}:{first.line}: {first.message}; `signalbox check` says more")
    found = (each.manifest() for each in loaded.resources if each.kind == "Model")
    return [each | {"metadata": _namespaced(each["metadata"])} for each in found]


def _namespaced(metadata: dict[str, Any]) -> dict[str, Any]:
    return {"name": metadata["name"], "namespace": metadata.get("namespace", "default")} | metadata


def _refreshed(files: Sequence[PriceFile], folder: Path) -> list[dict[str, Any]]:
    models = []
    for model in _models(folder):
        new = refresh(files, model)
        if new is None:
            name = model["metadata"]["name"]
            click.echo(f"{name}: the data has no price that a Model can state, left out", err=True)
        else:
            models.append(new)
    return models


def _made(
    files: Sequence[PriceFile], wanted: str, given: dict[str, str | None], namespace: str
) -> dict[str, Any]:
    provider, _, name = wanted.partition("/")
    found = find(files, {"provider": provider, "upstreamModel": name})
    if found is None:
        raise Failure(f"{wanted} is in none of the files; write PROVIDER/MODEL as they name it")
    file, public = found
    if public.obstacle:
        raise Failure(f"{wanted}: {public.obstacle}, which a Model cannot state")
    if not public.context_tokens or not public.capabilities:
        raise Failure(f"{wanted}: {file.label} tells no limits; write the Model, then use --onto")
    endpoint, wire_format = _ENDPOINTS.get(provider, (None, None))
    place = {"endpoint": endpoint, "wire_format": wire_format, "key": provider} | {
        key: value for key, value in given.items() if value
    }
    for key in Place.__dataclass_fields__:
        if not place.get(key):
            raise click.UsageError(f"--{key.replace('_', '-')} is needed for {wanted}.")
    for unused in public.unused:
        click.echo(f"{wanted}: {unused} has no place in a Model, left out", err=True)
    if "images" in public.capabilities:
        click.echo(f"{wanted}: add images when you know its tokensPerImage", err=True)
    return new_model(
        file,
        public,
        name=name.lower().replace("_", "-").replace(":", "-"),
        namespace=namespace,
        place=Place(**{key: str(place[key]) for key in Place.__dataclass_fields__}),
    )

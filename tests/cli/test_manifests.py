"""The manifests that come with Signalbox are valid, and say what they claim to say."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import Result

from support.running import QUICKSTART, ROOT

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
SHEET = ROOT / "proxy" / "signalbox_simulator" / "default_prices.yaml"
KINDS = {"Domain", "Agent", "DataAsset", "Model", "Budget", "RoutePolicy"}


def objects(path: Path) -> list[dict]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


@pytest.mark.parametrize("path", [*SAMPLES, QUICKSTART], ids=lambda path: path.stem)
def test_manifests_compile_without_errors_or_warnings(
    path: Path, command: Callable[..., Result]
) -> None:
    result = command("check", "--strict", str(path))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_says_what_it_shows_and_what_to_expect(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert len(header) >= 2
    assert any(line.startswith("# Expect: ") for line in header)


def test_quickstart_uses_every_kind_and_teaches_with_comments() -> None:
    files = sorted(QUICKSTART.glob("*.yaml"))
    assert {each["kind"] for path in files for each in objects(path)} == KINDS
    for path in files:
        assert path.read_text().count("\n#") + 1 >= len(objects(path)) // 2


def test_no_manifest_holds_a_key() -> None:
    for path in (ROOT / "manifests").rglob("*.yaml"):
        assert not re.search(r"\b(sk-|sbx\.)[A-Za-z0-9]", path.read_text()), path


@pytest.mark.parametrize("path", [*SAMPLES, *sorted(QUICKSTART.glob("*.yaml"))], ids=str)
def test_every_lane_leads_to_a_model_that_the_simulated_provider_serves(path: Path) -> None:
    sheet = yaml.safe_load(SHEET.read_text())
    for model in (each for each in objects(path) if each["kind"] == "Model"):
        for lane in model["spec"]["lanes"]:
            if "endpoint" in lane:
                host = urlsplit(lane["endpoint"]).hostname
                served = sheet["hosts"][host]["models"]
                known = {
                    *served,
                    *(n for m in served for n in sheet["models"][m].get("aliases", [])),
                }
                assert lane["upstreamModel"] in known, lane["name"]

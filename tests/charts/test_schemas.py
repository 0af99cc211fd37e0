"""What the charts render is what three releases of Kubernetes understand, field by field."""

import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from support.charts import (
    CHART,
    COMBINATIONS,
    CRDS_CHART,
    MONITORED,
    RefusedError,
    helm,
    program,
    rendered,
)
from support.kubernetes_schemas import RELEASES, TEMPLATE, own_schemas, schemas_of
from support.running import ROOT

OTHERS = "ServiceMonitor,PrometheusRule"
"""Kinds of the Prometheus operator, whose schemas come with it."""


@cache
def _everything() -> str:
    """Every combination, each with everything that can be switched on besides."""
    return "\n---\n".join(rendered({**values, **MONITORED}) for values in COMBINATIONS.values())


def _conform(text: str, release: str, own: Path) -> str:
    """What kubeconform says of the objects: nothing, if all is well."""
    ran = subprocess.run(
        [
            *(program("kubeconform"), "-summary", "-skip", OTHERS),
            *("-schema-location", f"{schemas_of(release)}/{TEMPLATE}"),
            *("-schema-location", f"{own}/{TEMPLATE}"),
        ],
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Summary:" in ran.stdout, ran.stdout + ran.stderr
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@pytest.mark.parametrize("release", RELEASES)
def test_every_combination_of_values_fits_the_schemas(release: str, tmp_path: Path) -> None:
    assert _conform(_everything(), release, own_schemas(tmp_path)) == ""


@pytest.mark.parametrize("release", RELEASES)
def test_the_definitions_fit_the_schemas(release: str, tmp_path: Path) -> None:
    assert _conform(rendered(chart=CRDS_CHART), release, own_schemas(tmp_path)) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("terminationGracePeriodSeconds: 160", "terminationGracePeriodSecond: 160"),
        ("containerPort: 8081", "containerPort: control"),
        ("scope: {all: true}", "scope: {everybody: true}"),
        ("failurePolicy: Ignore", "failurePolicy: [Ignore]"),
    ],
)
def test_a_slip_of_the_pen_would_be_found(right: str, wrong: str, tmp_path: Path) -> None:
    text = rendered()
    assert right in text
    own = own_schemas(tmp_path)
    assert _conform(text, RELEASES[-1], own) == ""
    assert _conform(text.replace(right, wrong), RELEASES[-1], own) != ""


@pytest.mark.parametrize("chart", [CHART, CRDS_CHART], ids=lambda path: path.name)
def test_helm_finds_nothing_to_criticize(chart: Path) -> None:
    ran = helm("lint", "--strict", chart)
    assert ran.returncode == 0, ran.stdout
    assert "[WARNING]" not in ran.stdout


@pytest.mark.parametrize("chart", [CHART, CRDS_CHART], ids=lambda path: path.name)
def test_a_packed_chart_renders_as_the_folder_does(chart: Path, tmp_path: Path) -> None:
    assert helm("package", chart, "--destination", tmp_path).returncode == 0
    (packed,) = tmp_path.glob("*.tgz")
    assert rendered(chart=packed) == rendered(chart=chart)


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with pytest.raises(RefusedError, match="kubeVersion"):
        rendered(arguments=["--kube-version", "1.28.9"])


def test_both_charts_carry_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for chart in (CHART, CRDS_CHART):
        told = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert (told["version"], told["appVersion"]) == (version, version)

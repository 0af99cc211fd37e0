"""The chart of the CRDs: generated, upgradable, and kept when the release is deleted."""

import shutil
from pathlib import Path

import pytest
import yaml

from signalbox_api.crd_chart import ChartError, main, template, templates
from support.charts import CHART, CRDS_CHART, Objects
from support.running import ROOT

CRDS = ROOT / "crds"


def test_the_committed_templates_are_what_the_definitions_generate() -> None:
    assert main(["--check", str(CRDS), str(CRDS_CHART / "templates")]) == 0


def test_the_chart_gives_each_definition_unchanged_and_kept() -> None:
    found = {one["metadata"]["name"]: one for one in Objects.of(chart=CRDS_CHART).items}
    wanted = [yaml.safe_load(file.read_text()) for file in CRDS.glob("*.yaml")]
    assert found.keys() == {one["metadata"]["name"] for one in wanted}
    for one in wanted:
        rendered = found[one["metadata"]["name"]]
        assert rendered["spec"] == one["spec"]
        assert rendered["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "argocd.argoproj.io/sync-options": "Prune=false",
        }


def test_no_definition_is_too_long_for_a_client_that_annotates_what_it_applied() -> None:
    """`kubectl apply` and Argo CD keep the text in an annotation, 256 KiB at most."""
    for text in templates(CRDS).values():
        assert len(text) < 200_000


def test_check_names_what_is_missing_different_or_left_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crds, folder = shutil.copytree(CRDS, tmp_path / "crds"), tmp_path / "templates"
    folder.mkdir()
    assert main([str(crds), str(folder)]) == 0
    assert main(["--check", str(crds), str(folder)]) == 0
    (folder / "agents.yaml").unlink()
    (folder / "budgets.yaml").write_text("kind: Budget\n")
    (folder / "other.yaml").write_text("\n")
    assert main(["--check", str(crds), str(folder)]) == 1
    said = capsys.readouterr().err
    assert "agents.yaml is missing; run `make generate`" in said
    assert "budgets.yaml differs" in said
    assert "other.yaml is left over" in said
    assert main([str(crds), str(folder)]) == 0
    assert main(["--check", str(crds), str(folder)]) == 0


def test_braces_in_a_description_are_no_template() -> None:
    text = (CRDS / "agents.yaml").read_text()
    assert '{{ "{{" }} x' in template("agents.yaml", text.replace("What asks", "{{ x", 1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("CustomResourceDefinition", "Secret"), "is no CustomResourceDefinition"),
        (("metadata:\n", "metadata:\n  labels: {}\n"), "metadata other than a name"),
    ],
)
def test_what_is_no_definition_does_not_become_one(change: tuple[str, str], says: str) -> None:
    text = (CRDS / "agents.yaml").read_text().replace(*change, 1)
    with pytest.raises(ChartError, match=says):
        template("agents.yaml", text)


def test_the_main_chart_knows_every_kind_and_may_read_it() -> None:
    """What is not in these lists the operator could not watch, and a user not view."""
    specs = [yaml.safe_load(file.read_text())["spec"]["names"] for file in CRDS.glob("*.yaml")]
    plurals = {each["plural"] for each in specs}
    objects = Objects.of()
    view = objects.get("ClusterRole", "signalbox-view")["rules"]
    assert {each for rule in view for each in rule["resources"]} == plurals
    (webhook,) = objects.kind("ValidatingWebhookConfiguration")
    (rule,) = webhook["webhooks"][0]["rules"]
    assert set(rule["resources"]) == plurals - {"fleets"}
    names = (CHART / "templates" / "_names.tpl").read_text()
    assert all(each["kind"] in names for each in specs)

"""The CRDs in a real API server: what it takes, refuses, fills in, explains and prints."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from support.apiserver import ApiServer
from support.kube_client import KubeError
from support.running import ROOT

BUDGET: dict[str, Any] = {
    "apiVersion": "signalbox.dev/v1alpha1",
    "kind": "Budget",
    "metadata": {"name": "day"},
    "spec": {"scope": {"all": True}, "limit": {"usd": "5"}, "window": {"every": "day"}},
}
MODEL = next(
    document
    for document in yaml.safe_load_all(
        (ROOT / "manifests" / "quickstart" / "10-models.yaml").read_text()
    )
    if document["metadata"]["name"] == "gpt-5.4-mini"
)
Change = Callable[[dict[str, Any]], Any]


def _budget(namespace: str) -> dict[str, Any]:
    body = copy.deepcopy(BUDGET)
    body["metadata"]["namespace"] = namespace
    return body


def test_every_definition_is_established_and_its_schema_is_structural(
    apiserver: ApiServer,
) -> None:
    wanted = {file.stem + ".signalbox.dev" for file in (ROOT / "crds").glob("*.yaml")}
    found = {
        item["metadata"]["name"]: {each["type"]: each for each in item["status"]["conditions"]}
        for item in apiserver.admin.get("CustomResourceDefinition")["items"]
    }
    assert wanted <= found.keys()
    for name in wanted:
        assert found[name]["Established"]["status"] == "True", found[name]
        assert found[name]["NamesAccepted"]["status"] == "True", found[name]
        assert "NonStructuralSchema" not in found[name], found[name]


def test_kubectl_applies_the_quickstart_twice_and_the_second_time_nothing_changes(
    apiserver: ApiServer,
) -> None:
    files = ROOT / "manifests" / "quickstart"
    objects = [
        document
        for file in sorted(files.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document
    ]
    names = sorted({document["metadata"].get("namespace", "default") for document in objects})
    for name in set(names) - {"default"}:
        apiserver.kubectl("apply", "-f", "-", text=yaml.safe_dump(_namespace(name)))
    apiserver.kubectl("apply", "-R", "-f", str(files))
    again = apiserver.kubectl("apply", "-R", "-f", str(files)).splitlines()
    assert len(again) == len(objects)
    assert [line for line in again if not line.endswith("unchanged")] == []
    apiserver.kubectl("delete", "-R", "-f", str(files))


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _scope_of_two(body: dict[str, Any]) -> None:
    body["spec"]["scope"] = {"all": True, "domain": "retail"}


def _two_limits(body: dict[str, Any]) -> None:
    body["spec"]["limit"]["tokens"] = 5


def _odd_window(body: dict[str, Any]) -> None:
    body["spec"]["window"] = {"every": "minute", "count": 7}


def _idle_when_missing(body: dict[str, Any]) -> None:
    body["spec"]["whenMissing"] = "share"


def _float_limit(body: dict[str, Any]) -> None:
    body["spec"]["limit"]["usd"] = 0.5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_scope_of_two, "write exactly one of all: true, domain, agent or workload"),
        (_two_limits, "limit names none or several; write exactly one of usd, tokens or requests"),
        (_odd_window, "count does not divide the calendar; write 1, 2, 3, 4, 5, 6, 10, 12"),
        (_idle_when_missing, "whenMissing means nothing here; it needs per: user or per: session"),
        (_float_limit, "spec.limit.usd"),
    ],
)
def test_a_bad_budget_is_refused_with_the_field_and_what_to_write_instead(
    apiserver: ApiServer, namespace: str, change: Change, sentence: str
) -> None:
    body = _budget(namespace)
    change(body)
    with pytest.raises(KubeError) as refused:
        apiserver.admin.create(body)
    assert refused.value.status == 422
    assert ": spec" in refused.value.message
    assert sentence in refused.value.message


def test_what_an_account_is_made_of_cannot_change_and_its_limit_can(
    apiserver: ApiServer, namespace: str
) -> None:
    apiserver.admin.create(_budget(namespace))
    for spec, sentence in (
        ({"window": {"every": "month"}}, "window cannot be changed"),
        ({"limit": {"usd": None, "tokens": 5}}, "the unit of limit cannot be changed"),
        ({"scope": {"all": None, "domain": "a"}}, "scope cannot be changed"),
        ({"per": "user"}, "per cannot be changed"),
    ):
        with pytest.raises(KubeError, match=sentence):
            apiserver.admin.patch("Budget", namespace, "day", {"spec": spec})
    changed = apiserver.admin.patch("Budget", namespace, "day", {"spec": {"limit": {"usd": "9"}}})
    assert changed["spec"]["limit"] == {"usd": "9"}
    assert changed["metadata"]["generation"] == 2


def test_a_field_that_does_not_exist_is_named_to_who_applies_it(
    apiserver: ApiServer, namespace: str
) -> None:
    body = _budget(namespace)
    body["spec"]["limits"] = {"usd": "5"}
    said = apiserver.kubectl("apply", "-f", "-", text=yaml.safe_dump(body), code=1)
    assert 'unknown field "spec.limits"' in said


def test_a_model_without_the_bound_of_its_answers_is_refused(
    apiserver: ApiServer, namespace: str
) -> None:
    body = copy.deepcopy(MODEL)
    body["metadata"]["namespace"] = namespace
    del body["spec"]["limits"]["maxOutputTokens"]
    with pytest.raises(KubeError, match=r"limits\.maxOutputTokens is missing; the capability chat"):
        apiserver.admin.create(body)


def test_defaults_are_stored_so_that_everybody_reads_the_same(
    apiserver: ApiServer, namespace: str
) -> None:
    stored = apiserver.admin.create(_budget(namespace))
    assert stored["spec"]["window"]["count"] == 1
    assert stored["spec"]["window"]["timeZone"] == "UTC"
    assert stored["spec"]["enforcement"] == "Enforce"


def test_spec_and_status_are_written_apart(apiserver: ApiServer, namespace: str) -> None:
    body = _budget(namespace) | {"status": {"limit": "1"}}
    stored = apiserver.admin.create(body)
    assert "status" not in stored
    told = apiserver.admin.patch_status("Budget", namespace, "day", {"limit": "5", "unit": "usd"})
    assert told["status"] == {"limit": "5", "unit": "usd"}
    assert told["metadata"]["generation"] == 1
    said = apiserver.admin.call(
        "PATCH",
        f"/apis/signalbox.dev/v1alpha1/namespaces/{namespace}/budgets/day/status",
        {"spec": {"limit": {"usd": "99"}}},
        content="application/merge-patch+json",
    )
    assert said["spec"]["limit"] == {"usd": "5"}


def test_kubectl_explain_teaches_what_a_field_means(apiserver: ApiServer) -> None:
    said = apiserver.kubectl("explain", "budgets.spec.limit")
    assert "GROUP:      signalbox.dev" in said
    assert "usd" in said
    assert "<no description>" not in apiserver.kubectl(
        "explain", "--recursive=false", "budgets.spec"
    )


def test_kubectl_finds_a_budget_by_its_short_name_and_shows_what_is_left(
    apiserver: ApiServer, namespace: str
) -> None:
    apiserver.admin.create(_budget(namespace))
    conditions = [
        {
            "type": "Exhausted",
            "status": "True",
            "reason": "LimitReached",
            "message": "Nothing is left.",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
    status = {"limit": "5", "unit": "usd", "remaining": "0", "conditions": conditions}
    apiserver.admin.patch_status("Budget", namespace, "day", status)
    header, row = apiserver.kubectl("get", "bud", "-n", namespace).splitlines()
    columns = dict(zip(header.split(), row.split(), strict=False))
    assert columns["NAME"] == "day"
    assert columns["LIMIT"] == "5"
    assert "EXHAUSTED" in header
    assert "True" in row
    apiserver.kubectl(
        *("wait", "--for=condition=Exhausted", "budget/day", "-n", namespace, "--timeout=60s")
    )

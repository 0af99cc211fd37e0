"""What the webhook says of objects: every problem at once, warnings, and what it lets through."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from signalbox_api import Resource
from signalbox_operator import admission
from signalbox_operator.admission import AdmissionError
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.warnings_for import MAX_OBJECTS, warnings_for

ROOT = Path(__file__).resolve().parents[2]
GROUP = "signalbox.dev"


def manifest(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "retail", **metadata},
        "spec": spec,
    }


def budget(**changes: Any) -> dict[str, Any]:
    spec = {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}} | changes
    return manifest("Budget", "day", spec)


def review(
    written: dict[str, Any] | None,
    *,
    operation: str = "CREATE",
    old: dict[str, Any] | None = None,
    group: str = GROUP,
) -> bytes:
    kind = (written or old or {}).get("kind", "Budget")
    request = {
        "uid": "u-1",
        "kind": {"group": group, "version": "v1alpha1", "kind": kind},
        "operation": operation,
        "namespace": "retail",
        "object": written,
        "oldObject": old,
    }
    return json.dumps(
        {"apiVersion": admission.API_VERSION, "kind": "AdmissionReview", "request": request},
        default=lambda instant: instant.isoformat().replace("+00:00", "Z"),
    ).encode()


def judged(body: bytes, warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    asked = admission.read(body)
    document = admission.answer(asked, admission.judge(asked), warnings)
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    assert document["response"]["uid"] == "u-1"
    found: dict[str, Any] = document["response"]
    return found


def test_a_valid_object_is_let_through_with_its_warnings() -> None:
    assert judged(review(budget())) == {"uid": "u-1", "allowed": True}
    assert judged(review(budget()), ("a", "b" * 900))["warnings"] == ["a", "b" * 250]


def test_every_problem_is_named_at_once_with_its_field_and_what_to_write() -> None:
    wrong = budget(limit={"usd": "-1"}, window={"every": "fortnight"}, warnAtPercent=[500])
    response = judged(review(wrong))
    assert response["allowed"] is False
    fields = {cause["field"] for cause in response["status"]["details"]["causes"]}
    assert {"spec.limit.usd", "spec.window.every", "spec.warnAtPercent[0]"} <= fields
    for field in fields:
        assert field in response["status"]["message"]
    assert response["status"]["code"] == 422


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Agent", {"domain": "retail", "maxSensitivity": "secret"}),
        ("Budget", {"scope": {}, "limit": {}, "window": {}}),
        ("DataAsset", {"domain": "a/b/c"}),
        ("Domain", {"ownerTeam": ""}),
        ("Model", {"lanes": []}),
        ("RoutePolicy", {"constraints": {"qualityFloor": "2"}}),
    ],
)
def test_each_of_the_six_kinds_is_judged(kind: str, spec: dict[str, Any]) -> None:
    assert judged(review(manifest(kind, "x", spec)))["allowed"] is False


def test_a_deletion_is_never_refused_whatever_the_object_says() -> None:
    broken = budget(limit={"usd": "-1"})
    assert judged(review(None, operation="DELETE", old=broken))["allowed"] is True
    leaving = manifest("Budget", "day", {"no": 1}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert judged(review(leaving, operation="UPDATE", old=broken))["allowed"] is True


def test_metadata_of_an_object_that_was_stored_unseen_can_be_changed() -> None:
    stored = budget(limit={"usd": "-1"})
    labelled = stored | {"metadata": stored["metadata"] | {"labels": {"a": "b"}}}
    assert judged(review(labelled, operation="UPDATE", old=stored))["allowed"] is True
    other = budget(limit={"usd": "-2"})
    assert judged(review(other, operation="UPDATE", old=stored))["allowed"] is False


def test_kinds_of_others_are_none_of_its_business() -> None:
    assert judged(review(budget(limit={}), group="other.dev"))["allowed"] is True


def test_a_pasted_secret_is_not_quoted() -> None:
    keys = [{"name": "k", "sha256": "sk-live-CANARY"}]
    spec = {"domain": "retail", "maxSensitivity": "internal", "credentials": {"keys": keys}}
    response = judged(review(manifest("Agent", "a", spec)))
    assert response["allowed"] is False
    assert "CANARY" not in json.dumps(response)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"request": {}}', b"\xff", b"[" * 100_000, b'{"request": null}']
)
def test_what_is_no_review_is_no_review(body: bytes) -> None:
    with pytest.raises(AdmissionError):
        admission.read(body)


@pytest.mark.parametrize(
    "written",
    [{}, {"kind": "Budget"}, {"spec": None}, budget() | {"metadata": 5}, budget() | {"spec": []}],
)
def test_an_object_of_any_shape_is_judged_and_never_an_error(written: dict[str, Any]) -> None:
    document = json.loads(review(budget()))
    document["request"]["object"] = written
    assert judged(json.dumps(document).encode())["allowed"] is False


def test_what_an_object_names_is_warned_of_and_gone_when_it_is_there() -> None:
    domain = {"ownerTeam": "r", "focusAccount": "1", "defaultSensitivity": "internal"}
    agent = {"domain": "shop", "maxSensitivity": "internal"}
    asked = admission.judge(admission.read(review(manifest("Agent", "a", agent))))
    there = admission.judge(admission.read(review(manifest("Domain", "shop", domain))))
    assert not isinstance(asked, tuple)
    assert not isinstance(there, tuple)
    said = warned(asked)
    assert any("spec.domain" in sentence and "shop" in sentence for sentence in said)
    found = warned(asked, there)
    assert not any("shop" in sentence for sentence in found), found


NOBODY = WorkloadIdentity()


def warned(
    asked: Resource, *known: Resource, identity: WorkloadIdentity | None = NOBODY
) -> list[str]:
    objects = {item.key: item for item in known}
    return warnings_for(asked, objects, {}, platform_namespace="retail", identity=identity)


def test_a_service_account_that_is_missing_is_warned_of_and_refuses_nothing() -> None:
    spec = {"domain": "shop", "maxSensitivity": "internal"}
    credentials = {"serviceAccounts": ["runner", "walker"]}
    request = admission.read(review(manifest("Agent", "a", spec | {"credentials": credentials})))
    asked = admission.judge(request)
    assert not isinstance(asked, tuple)
    identity = WorkloadIdentity(accounts={"retail/runner": "u-1", "other/walker": "u-2"})
    shop = {"ownerTeam": "r", "focusAccount": "1", "defaultSensitivity": "internal"}
    domain = admission.judge(admission.read(review(manifest("Domain", "shop", shop))))
    assert not isinstance(domain, tuple)
    said = [each for each in warned(asked, domain, identity=identity) if "ServiceAccount" in each]
    assert len(said) == 1
    assert "serviceAccounts[1]" in said[0]
    assert "retail/walker" in said[0]
    response = admission.answer(request, asked, said)["response"]
    assert (response["allowed"], response["warnings"]) == (True, said)


def test_before_the_cluster_told_of_its_service_accounts_nothing_is_said() -> None:
    spec = {"domain": "shop", "maxSensitivity": "internal"}
    asked = admission.judge(admission.read(review(manifest("Agent", "a", spec))))
    assert not isinstance(asked, tuple)
    assert warned(asked, identity=None) == []
    assert warned(asked)


def test_among_too_many_objects_the_warning_says_that_it_did_not_look() -> None:
    spec = {"domain": "shop", "maxSensitivity": "internal"}
    asked, *others = (
        admission.judge(admission.read(review(manifest("Agent", f"a{number}", spec))))
        for number in range(MAX_OBJECTS + 2)
    )
    known = [each for each in others if not isinstance(each, tuple)]
    assert not isinstance(asked, tuple)
    (said,) = warned(asked, *known)
    assert "more than 2,000" in said
    assert "status" in said
    assert any("spec.domain" in each for each in warned(asked, *known[:5]))


def test_every_sample_and_the_quickstart_are_let_through() -> None:
    count = 0
    for file in sorted((ROOT / "manifests").rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document and str(document.get("apiVersion", "")).startswith(GROUP):
                response = judged(review(document))
                assert response["allowed"], (file, response)
                count += 1
    assert count > 10

"""A proxy that dies with its Pod: what it held is charged in full, once the Pod is gone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from support.apiserver import ApiServer
from support.fleet import Fleet, eventually
from support.operators import (
    PROXY_OPTIONS,
    RELEASE,
    OperatorProcess,
    Platform,
    everywhere,
)
from support.snapshots import key_of

WITHIN_S = 180.0
"""A holder is silent after half a minute; the operator looks every ten seconds."""


@pytest.fixture
def platform(apiserver: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Platform]:
    with Fleet(tmp_path, proxies=2, options=PROXY_OPTIONS) as fleet:
        made = Platform(apiserver, namespace, fleet)
        made.install()
        yield made


def pod(platform: Platform, name: str, owner: str) -> None:
    """A Pod as the API server stores it; nothing runs it here."""
    platform.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": platform.namespace,
                "labels": {
                    "app.kubernetes.io/instance": RELEASE,
                    "app.kubernetes.io/component": "proxy",
                },
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": owner,
                        "name": "x",
                        "uid": "00000000-0000-0000-0000-000000000001",
                        "controller": True,
                    }
                ],
            },
            "spec": {"containers": [{"name": "proxy", "image": "x"}]},
        }
    )


def holders(platform: Platform) -> dict[str, str]:
    """The state of each proxy's newest holder."""
    code, found = platform.fleet.control(platform.fleet.proxies[0], "GET", "holders")
    assert code == 200
    return {each["name"]: each["state"] for each in reversed(found["holders"])}


def members(platform: Platform) -> list[str]:
    status: dict[str, Any] = platform.get("Fleet", platform.name).get("status", {})
    return [each["name"] for each in status.get("members", [])]


def test_a_proxy_is_given_up_once_its_pod_is_gone_and_not_before(
    platform: Platform, tmp_path: Path
) -> None:
    lives, dies = platform.fleet.proxies
    pod(platform, lives.name, "StatefulSet")
    pod(platform, dies.name, "ReplicaSet")
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        client = OpenAI(
            base_url=f"{dies.url}/v1", api_key=key_of(f"{platform.namespace}/assistant")
        )
        client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": "hello"}], max_tokens=16
        )
        assert eventually(lambda: members(platform) == [dies.name], within_s=WITHIN_S)
        dies.kill()
        assert eventually(lambda: holders(platform)[dies.name] == "silent", within_s=WITHIN_S)
        # Its Pod exists: it may come back with its journal. Another operator knows it, too.
        operator.kill()
        operator.start()
        assert holders(platform)[dies.name] == "silent"
        platform.kube.call(
            "DELETE",
            f"/api/v1/namespaces/{platform.namespace}/pods/{dies.name}?gracePeriodSeconds=0",
        )
        assert eventually(lambda: holders(platform)[dies.name] == "fenced", within_s=WITHIN_S)
        assert eventually(lambda: members(platform) == [], within_s=WITHIN_S)
        assert holders(platform)[lives.name] == "live"
    with platform.fleet.ledger() as ledger:
        rows = ledger.database.query("SELECT ordered_by, detail FROM desk_order")
        assert [row["ordered_by"] for row in rows] == ["signalbox-operator"]
        assert "nothing was held" not in json.dumps(rows)

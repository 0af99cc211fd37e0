"""The webhook as a server, asked by a real API server: refusals, warnings, and its absence."""

import asyncio
import base64
import copy
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from signalbox_api import Resource
from signalbox_operator.cluster import webhook
from signalbox_operator.cluster.api import ClusterApi
from signalbox_operator.cluster.webhook import Webhook
from signalbox_operator.cluster.webhook_trust import WebhookTrust
from support.apiserver import ApiServer
from support.certificates import Authority
from support.cluster_client import api_of
from support.kube_client import KubeError

CONFIGURATION = "signalbox-webhook"
PLURALS = ["agents", "budgets", "dataassets", "domains", "models", "routepolicies"]


def served_by(authority: Authority) -> WebhookTrust:
    pair = authority.issue("webhook", ["localhost"])
    return WebhookTrust(pair.certificate.encode(), pair.key.encode(), authority.pem.encode())


class Running:
    """A webhook in this process, and its configuration as the chart renders it."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self.authority = Authority.new()
        self.trust = served_by(self.authority)
        self.warns: Sequence[str] = ()
        self.webhook: Webhook

    def findings_for(self, resource: Resource) -> Sequence[str]:
        return self.warns

    def configure(self, port: int) -> None:
        hook = {
            "name": "objects.signalbox.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "timeoutSeconds": 3,
            "clientConfig": {"url": f"https://localhost:{port}/validate"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
            "rules": [
                {
                    "apiGroups": ["signalbox.dev"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": PLURALS,
                    "scope": "Namespaced",
                }
            ],
        }
        self.server.admin.apply(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": CONFIGURATION},
                "webhooks": [hook],
            }
        )

    def bundle(self) -> bytes:
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"
        stored = self.server.admin.call("GET", path + CONFIGURATION)
        told = stored["webhooks"][0]["clientConfig"].get("caBundle", "")
        return base64.b64decode(told)

    def budget(self, **changes: Any) -> dict[str, Any]:
        spec = {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}}
        return {
            "apiVersion": "signalbox.dev/v1alpha1",
            "kind": "Budget",
            "metadata": {"name": "day", "namespace": self.namespace},
            "spec": spec | changes,
        }

    def refusal(self, **changes: Any) -> str:
        """What the API server says of a budget; "" where it takes it."""
        try:
            self.server.admin.apply(self.budget(**changes))
        except KubeError as refused:
            return refused.message
        return ""


async def eventually(condition: Any) -> Any:
    async with asyncio.timeout(120):
        while not (found := await asyncio.to_thread(condition)):
            await asyncio.sleep(0.1)
        return found


@pytest.fixture
async def running(apiserver: ApiServer, namespace: str) -> AsyncIterator[Running]:
    made = Running(apiserver, namespace)
    open_before = len(asyncio.get_running_loop()._selector.get_map())
    async with api_of(apiserver.kubeconfig) as api:
        made.webhook = Webhook(
            api, lambda: made.trust, made.findings_for, configuration=CONFIGURATION
        )
        # Before its configuration exists it serves all the same.
        task = asyncio.create_task(made.webhook.run("127.0.0.1", 0))
        await eventually(lambda: made.webhook.port)
        await asyncio.to_thread(made.configure, made.webhook.port)
        await eventually(lambda: made.bundle() == made.trust.bundle)
        yield made
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # Connections of the API server's end after a word of TLS from each side.
    selector = asyncio.get_running_loop()._selector
    async with asyncio.timeout(60):
        while len(selector.get_map()) > open_before:
            await asyncio.sleep(0.05)


WRONG_ZONE = {"window": {"every": "day", "timeZone": "Mars/Olympus"}}
"""Passes the schema and CEL: only the types of Signalbox know time zones."""


async def test_what_the_schema_cannot_see_is_refused_with_what_to_write(running: Running) -> None:
    said = await eventually(lambda: running.refusal(**WRONG_ZONE))
    assert "spec.window.timeZone" in said
    assert "Mars/Olympus" in said
    assert await asyncio.to_thread(running.refusal) == ""


async def test_what_it_would_mean_among_others_is_only_a_warning(running: Running) -> None:
    running.warns = ("spec.scope: covers nobody. Name a domain.",)

    def warned() -> str:
        text = running.server.kubectl("apply", "-f", "-", text=json.dumps(running.budget()))
        return text if "covers nobody" in text else ""

    assert "Warning:" in await eventually(warned)


async def test_another_certificate_and_authority_are_taken_up_while_it_runs(
    running: Running,
) -> None:
    await eventually(lambda: running.refusal(**WRONG_ZONE))
    running.trust = served_by(Authority.new())
    await eventually(lambda: running.bundle() == running.trust.bundle)
    await eventually(lambda: running.refusal(**WRONG_ZONE))


async def test_an_object_can_be_deleted_whatever_it_says(running: Running) -> None:
    await asyncio.to_thread(running.refusal)
    await asyncio.to_thread(running.server.admin.delete, "Budget", running.namespace, "day")


async def test_with_the_webhook_gone_objects_are_stored_and_judged_later(
    apiserver: ApiServer, namespace: str
) -> None:
    absent = Running(apiserver, namespace)
    await asyncio.to_thread(absent.configure, 1)
    assert await asyncio.to_thread(lambda: absent.refusal(**WRONG_ZONE)) == ""


class Stored:
    """The webhook's configuration as an API server has it."""

    def __init__(self) -> None:
        self.hooks: list[dict[str, Any]] = [{"name": "a", "clientConfig": {}}]
        self.writes = 0

    async def get(self, path: str) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": "7"}, "webhooks": copy.deepcopy(self.hooks)}

    async def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        self.hooks = body["webhooks"]
        return body


async def test_whom_to_believe_is_written_again_where_it_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by a chart that is applied anew, while the certificate stays what it was."""
    stored, trust = Stored(), served_by(Authority.new())
    api = cast("ClusterApi", stored)
    made = Webhook(api, lambda: trust, lambda _: (), configuration=CONFIGURATION)
    await made.look()
    written = stored.hooks[0]["clientConfig"]["caBundle"]
    assert base64.b64decode(written) == trust.bundle
    stored.hooks[0]["clientConfig"] = {}
    await made.look()
    assert stored.writes == 1  # looked at a moment ago
    monkeypatch.setattr(webhook, "BUNDLE_S", 0.0)
    for _ in range(3):
        await made.look()
    assert stored.hooks[0]["clientConfig"]["caBundle"] == written
    assert stored.writes == 2

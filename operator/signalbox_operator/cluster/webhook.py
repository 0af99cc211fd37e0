"""The admission webhook as a server: HTTPS, one path, bounded bodies, a certificate that changes.

It is asked by the API server alone, three seconds at most, and objects are stored unseen when it
does not answer: so it never waits for anything, and what it does not know it does not say.
"""

import asyncio
import logging
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from signalbox_api import Resource
from signalbox_operator import admission
from signalbox_operator.admission import AdmissionError, FindingsFor
from signalbox_operator.cluster.api import ApiError, ClusterApi
from signalbox_operator.cluster.webhook_trust import WebhookTrust

PATH: Final = "/validate"
MAX_BODY: Final = 4 * 1024 * 1024
"""An AdmissionReview holds an object twice, and the API server stores none above 1.5 MiB."""

FINDINGS_S: Final = 1.5
"""How long warnings are waited for; without them an object is let through all the same."""

PERIOD_S: Final = 2.0
BUNDLE_S: Final = 60.0
"""How often is read whom the API server believes: whoever applies a chart anew may empty that."""

_CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

_log = logging.getLogger("signalbox.operator.webhook")


def webhook_application(findings_for: FindingsFor) -> web.Application:
    """The application: `POST /validate`."""
    one_at_a_time = asyncio.Lock()

    async def warnings(resource: Resource) -> list[str]:
        if one_at_a_time.locked():
            return []
        async with one_at_a_time:
            try:
                return list(await asyncio.to_thread(findings_for, resource))
            except Exception:  # noqa: BLE001  a warning is not worth a refusal
                _log.exception("no warnings for %s", resource.key)
                return []

    async def validate(request: web.Request) -> web.Response:
        try:
            asked = admission.read(await request.read())
        except AdmissionError as error:
            return web.Response(status=400, text=f"{error}\n")
        judged = admission.judge(asked)
        said: list[str] = []
        if isinstance(judged, Resource):
            waiting = asyncio.ensure_future(warnings(judged))
            done, _ = await asyncio.wait({waiting}, timeout=FINDINGS_S)
            said = waiting.result() if done else []
        body = msgspec.json.encode(admission.answer(asked, judged, said))
        return web.Response(body=body, content_type="application/json")

    application = web.Application(client_max_size=MAX_BODY)
    application.router.add_post(PATH, validate)
    return application


class Webhook:
    """Serves with what `trust` tells last, and tells the API server whom to believe.

    `configuration` names the ValidatingWebhookConfiguration, "" for none.
    """

    def __init__(
        self,
        api: ClusterApi,
        trust: Callable[[], WebhookTrust | None],
        findings_for: FindingsFor,
        *,
        configuration: str,
    ) -> None:
        self._api = api
        self._trust = trust
        self._findings_for = findings_for
        self._configuration = configuration
        self._served: WebhookTrust | None = None
        self._believed: bytes | None = None
        self._read_at = 0.0
        self._current: ssl.SSLContext | None = None
        self.port = 0

    async def run(self, host: str, port: int) -> None:
        """Serves until cancelled. Before there is a certificate every handshake fails."""
        runner = web.AppRunner(
            webhook_application(self._findings_for), access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            listening = _server_context()
            listening.sni_callback = self._choose
            await web.TCPSite(runner, host, port, ssl_context=listening).start()
            self.port = runner.addresses[0][1]
            while True:
                await self.look()
                await asyncio.sleep(PERIOD_S)
        finally:
            await runner.cleanup()

    async def look(self) -> None:
        """Takes up a changed certificate, and writes whom to believe where that changed, here or
        there."""
        trust = self._trust()
        if trust is None:
            return
        try:
            if trust != self._served:
                self._current = await asyncio.to_thread(_loaded, trust)
                self._served = trust
            now = time.monotonic()
            is_due = trust.bundle != self._believed or now - self._read_at >= BUNDLE_S
            if self._configuration and is_due:
                await self._write_bundle(trust.bundle)
                self._believed, self._read_at = trust.bundle, now
        except (ApiError, OSError) as error:
            _log.warning("the webhook cannot be brought up to date: %s", error)

    async def _write_bundle(self, bundle: bytes) -> None:
        path = f"{_CONFIGURATIONS}/{self._configuration}"
        stored = await self._api.get(path)
        encoded = msgspec.json.decode(msgspec.json.encode(bundle))
        hooks: list[dict[str, Any]] = stored.get("webhooks") or []
        if all(hook["clientConfig"].get("caBundle") == encoded for hook in hooks):
            return
        for hook in hooks:
            hook["clientConfig"]["caBundle"] = encoded
        version = stored["metadata"]["resourceVersion"]
        await self._api.merge(path, {"metadata": {"resourceVersion": version}, "webhooks": hooks})
        _log.info("%s believes the webhook", self._configuration)

    def _choose(self, connection: ssl.SSLObject, *_: object) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _loaded(trust: WebhookTrust) -> ssl.SSLContext:
    """The library reads certificates from files only."""
    context = _server_context()
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_bytes(trust.certificate)
        key.touch(0o600)
        key.write_bytes(trust.key)
        context.load_cert_chain(certificate, key)
    return context

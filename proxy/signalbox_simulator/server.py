"""The HTTP side: which host and surface a request is for, who sends it, and what becomes of it."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from .aws_signatures import AwsSignatures
from .behaviour import Behaviour, Effects
from .bill import Bill
from .composition import LONGEST, SHORTEST
from .control import Control, Traffic
from .count_tokens_surface import CountTokensSurface
from .credentials import Credentials
from .delivery import Delivery, Gone, abort, elapsed_ms, hang, pause
from .endpoints import CHAT, CONVERSE, check_content_type, error, find, voice
from .gemini_surface import GeminiSurface
from .identity_services import IdentityServices
from .messages_surface import MessagesSurface, check_headers
from .models_surface import list_models
from .prompt_cache import PromptCache
from .refusals import Refusal
from .responses_state import StoredResponses
from .sheet import HostSheet, Sheet, Usage, amount_pico_usd
from .strict import decode
from .surface import Context, Pending, Surface
from .transcriptions_surface import read_form

MAX_BODY_BYTES = 32 * 2**20
MODELS_PATH = "/v1/models"
CORRELATION = ("x-request-id", "x-signalbox-attempt")


@dataclass(frozen=True)
class Call:
    """One request that found its host and surface."""

    request: web.Request
    host: str
    section: HostSheet
    surface: Surface
    request_id: str
    started: float

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its answer."""
        if isinstance(self.surface, MessagesSurface):
            return {"request-id": self.request_id}
        if isinstance(self.surface, GeminiSurface):
            return {"server-timing": f"gfet4t7; dur={elapsed_ms(self.started)}"}
        if self.surface is CONVERSE:
            return {"x-amzn-RequestId": self.request_id}
        return {
            "x-request-id": self.request_id,
            "openai-processing-ms": str(elapsed_ms(self.started)),
            "openai-version": "2020-10-01",
        }


@dataclass
class Simulator:
    """The running provider."""

    sheet: Sheet
    credentials: Credentials
    bill: Bill
    behaviour: Behaviour
    seed: int = 0
    answer_tokens: tuple[int, int] = (SHORTEST, LONGEST)
    allowance: int = 8
    control_token: str | None = field(default=None, repr=False)
    traffic: Traffic = field(default_factory=Traffic)
    cache: PromptCache = field(default_factory=lambda: PromptCache(time.monotonic))
    stored: StoredResponses = field(default_factory=StoredResponses)
    signatures: AwsSignatures = field(init=False)
    identities: IdentityServices = field(init=False)
    _sequence: int = 0

    def __post_init__(self) -> None:
        self.signatures = AwsSignatures(self.credentials)
        self.identities = IdentityServices(self.credentials)

    def application(self) -> web.Application:
        """Give the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        control = Control(self.behaviour, self.traffic, self.control_token)
        application.router.add_route("*", "/_simulator/behaviour", control.behave)
        application.router.add_get("/_simulator/stats", control.stats)
        application.router.add_route("*", "/{tail:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request for any host."""
        self._sequence += 1
        request_id = f"req_{os.getpid():x}{time.time_ns():x}{self._sequence:x}"
        raw_path = request.raw_path.partition("?")[0]
        named, slash, rest = raw_path.removeprefix("/").partition("/")
        host = unquote(named).partition(":")[0]
        path = slash + rest or "/"
        section = self.sheet.hosts.get(host)
        if section is None:
            self.traffic.see("(unknown)", 0)
            refusal = Refusal(
                404, f"No host {host[:100]!r} in the price sheet.", code="unknown_host"
            )
            return error(CHAT, refusal, {"x-request-id": request_id}, request_id)
        call = Call(request, host, section, voice(section), request_id, time.monotonic())
        self.traffic.see(host, 0)
        try:
            return await self._answer(call, path)
        except Refusal as refusal:
            self.traffic.hosts[host].refused += 1
            return error(call.surface, refusal, call.headers, request_id)
        except Gone:
            return web.Response()

    async def _answer(self, call: Call, path: str) -> web.StreamResponse:
        if "identity" in call.section.surfaces:
            return self.identities.answer(call.request, path, await self._body(call))
        kind, surface = find(path, call.request.query, call.section)
        if not kind and (path == MODELS_PATH or path.startswith(MODELS_PATH + "/")):
            return self._models(call, path)
        if kind not in call.section.surfaces:
            raise Refusal(404, f"Invalid URL ({call.request.method} {path[:200]})")
        if call.request.method != "POST":
            raise Refusal(405, f"Not allowed to {call.request.method} on {path}.")
        call = Call(call.request, call.host, call.section, surface, call.request_id, call.started)
        body = await self._body(call)
        if kind == "sts":
            return self.signatures.answer(call.request, body, call.host)
        credential = self._credential(call, body)
        if kind == "messages":
            check_headers(call.request.headers)
        if kind != "transcriptions":
            check_content_type(call.request)
        context = Context(
            sheet=self.sheet,
            host=call.host,
            credential=credential,
            request_id=call.request_id,
            headers=call.request.headers,
            seed=self.seed,
            answer_tokens=self.answer_tokens,
            cache=self.cache,
            stored=self.stored,
            path=path,
        )
        if isinstance(surface, CountTokensSurface):
            counted = surface.count(decode(body), context)
            return web.Response(body=counted, headers=call.headers, content_type="application/json")
        if kind == "transcriptions":
            document = read_form(body, call.request.headers.get("Content-Type", ""))
        else:
            document = decode(body)
        pending = surface.read(document, context)
        return await self._deliver(call, pending, credential)

    def _credential(self, call: Call, body: bytes) -> str:
        """Give the name of the credential that proves who calls."""
        headers = call.request.headers
        if call.surface is CONVERSE and headers.get("Authorization", "").startswith("AWS4-"):
            return self.signatures.authenticate(call.request, body, "bedrock", call.host)
        return self.credentials.authenticate(headers, call.section)

    async def _body(self, call: Call) -> bytes:
        try:
            body = await call.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, f"The request is larger than {MAX_BODY_BYTES} bytes.") from None
        self.traffic.hosts[call.host].bytes += len(body)
        return body

    def _models(self, call: Call, path: str) -> web.StreamResponse:
        if "models" not in call.section.surfaces:
            raise Refusal(404, f"Invalid URL ({call.request.method} {path[:200]})")
        if call.request.method != "GET":
            raise Refusal(405, f"Not allowed to {call.request.method} on {path[:200]}.")
        self.credentials.authenticate(call.request.headers, call.section)
        if "messages" in call.section.surfaces:
            check_headers(call.request.headers)
        wanted = path.removeprefix(MODELS_PATH).removeprefix("/")
        body = list_models(self.sheet, call.host, wanted or None)
        return web.Response(body=body, headers=call.headers, content_type="application/json")

    async def _deliver(self, call: Call, pending: Pending, credential: str) -> web.StreamResponse:
        tier = pending.tier
        effects = self.behaviour.decide(call.host, pending.model, pending.last_user_text)
        early = await self._instead(call, effects)
        if early is not None:
            return early
        answer = pending.compose(effects)

        async def post(usage: Usage, cut: bool) -> None:
            line = self._line(call, pending.model, tier, usage)
            line |= {"credential": credential, "stream": pending.stream, "cut": cut}
            try:
                await self.bill.post(line)
            except OSError as failure:
                sys.stderr.write(f"the bill cannot be written: {failure}\n")
                os._exit(1)
            self.traffic.hosts[call.host].billed += 1

        if effects.hang or effects.reset == "before_head":
            if effects.bill in ("full", "generated"):
                await post(answer.usage, False)
            if effects.hang:
                await hang(call.request)
            abort(call.request)
            raise Gone
        delivery = Delivery(
            call.request,
            answer,
            effects,
            call.headers,
            post,
            allowance=self.allowance,
            stream_type=call.surface.stream_type,
        )
        return await (delivery.stream() if pending.stream else delivery.whole())

    async def _instead(self, call: Call, effects: Effects) -> web.StreamResponse | None:
        """Wait, and give the error that was told in place of an answer."""
        await pause(effects.latency_ms)
        if effects.status is None:
            return None
        refusal = Refusal(
            effects.status,
            f"The simulated provider was told to answer {effects.status}.",
            code="rate_limit_exceeded" if effects.status == 429 else None,
            retry_after=effects.retry_after,
        )
        self.traffic.hosts[call.host].refused += 1
        answer = error(call.surface, refusal, call.headers, call.request_id)
        if effects.error_body == "html":
            answer.text = f"<html><body><h1>{effects.status}</h1></body></html>"
            answer.content_type = "text/html"
        elif effects.error_body == "empty":
            answer.body = b""
        return answer

    def _line(self, call: Call, model: str, tier: str, usage: Usage) -> dict[str, object]:
        correlation = {
            name: value[:200]
            for name in CORRELATION
            if (value := call.request.headers.get(name)) is not None
        }
        return {
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "request_id": call.request_id,
            "host": call.host,
            "model": model,
            "path": _path(call.request),
            "service_tier": tier,
            "usage": usage.written(),
            "amount_pico_usd": amount_pico_usd(self.sheet, call.host, model, usage, tier),
            "correlation": correlation,
            "duration_ms": elapsed_ms(call.started),
        }


def _path(request: web.Request) -> str:
    """Give the path at the provider, without the version in front of it."""
    rest = request.raw_path.partition("?")[0].lstrip("/").partition("/")[2]
    return f"/{rest}".removeprefix("/v1")


def read_token(path: Path | None) -> str | None:
    """Read the control port's token."""
    return path.read_text(encoding="utf-8").strip() if path else None

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

from .behaviour import Behaviour, Effects
from .bill import Bill
from .chat_surface import ChatSurface
from .composition import LONGEST, SHORTEST
from .control import Control, Traffic
from .credentials import Credentials
from .delivery import Delivery, Gone, abort, elapsed_ms, hang, pause
from .embeddings_surface import EmbeddingsSurface
from .messages_surface import MessagesSurface, check_headers
from .models_surface import list_models
from .prompt_cache import PromptCache
from .refusals import Refusal
from .sheet import HostSheet, Sheet, Usage, amount_pico_usd
from .strict import decode
from .surface import Context, Pending, Surface

MAX_BODY_BYTES = 32 * 2**20
PATHS: dict[str, tuple[str, Surface]] = {
    "/v1/chat/completions": ("chat_completions", ChatSurface()),
    "/v1/embeddings": ("embeddings", EmbeddingsSurface()),
    "/v1/messages": ("messages", MessagesSurface()),
}
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
    _sequence: int = 0

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
        named, slash, rest = request.rel_url.raw_path.removeprefix("/").partition("/")
        host = unquote(named).partition(":")[0]
        path = slash + rest
        surface = PATHS.get(path, PATHS["/v1/chat/completions"])[1]
        section = self.sheet.hosts.get(host)
        if section is None:
            self.traffic.see("(unknown)", 0)
            refusal = Refusal(
                404, f"No host {host[:100]!r} in the price sheet.", code="unknown_host"
            )
            return error(surface, refusal, {"x-request-id": request_id}, request_id)
        if "messages" in section.surfaces:
            surface = PATHS["/v1/messages"][1]
        call = Call(request, host, section, surface, request_id, time.monotonic())
        self.traffic.see(host, 0)
        try:
            return await self._answer(call, path)
        except Refusal as refusal:
            self.traffic.hosts[host].refused += 1
            return error(call.surface, refusal, call.headers, request_id)
        except Gone:
            return web.Response()

    async def _answer(self, call: Call, path: str) -> web.StreamResponse:
        if path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
            return self._models(call, path)
        kind, surface = PATHS.get(path, ("", call.surface))
        if kind not in call.section.surfaces:
            raise Refusal(404, f"Invalid URL ({call.request.method} {path[:200]})")
        if call.request.method != "POST":
            raise Refusal(405, f"Not allowed to {call.request.method} on {path}.")
        call = Call(call.request, call.host, call.section, surface, call.request_id, call.started)
        body = await self._body(call)
        credential = self.credentials.authenticate(call.request.headers, call.section)
        if kind == "messages":
            check_headers(call.request.headers)
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
        )
        pending = surface.read(decode(body), context)
        return await self._deliver(call, pending, credential)

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
            call.request, answer, effects, call.headers, post, allowance=self.allowance
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
            "path": str(call.request.rel_url.raw_path).partition("/v1")[2],
            "service_tier": tier,
            "usage": usage.model_dump(),
            "amount_pico_usd": amount_pico_usd(self.sheet, call.host, model, usage, tier),
            "correlation": correlation,
            "duration_ms": elapsed_ms(call.started),
        }


def check_content_type(request: web.Request) -> None:
    """Accept plain JSON only, as the providers do."""
    if request.content_type != "application/json":
        raise Refusal(
            400,
            f"Unsupported content type: {request.content_type[:100]!r}. This API method only "
            "accepts 'application/json' requests.",
            code="unsupported_content_type",
        )
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "Compressed request bodies are not supported.")


def error(
    surface: Surface, refusal: Refusal, headers: dict[str, str], request_id: str
) -> web.Response:
    """Give an error in the provider's own shape."""
    answer = web.Response(
        body=surface.error(refusal, request_id),
        status=refusal.status,
        headers=headers,
        content_type="application/json",
    )
    if refusal.retry_after is not None:
        answer.headers["retry-after"] = str(refusal.retry_after)
    return answer


def read_token(path: Path | None) -> str | None:
    """Read the control port's token."""
    return path.read_text(encoding="utf-8").strip() if path else None

"""The traffic port: routes by exact path, renders refusals, nothing else.

A path is governed only if it is, byte for byte, one that stands here; everything else is 404 and
never passed through. Refusals take the shape of the SDK that asks, in this one place.
"""

import asyncio
import dataclasses
import logging

import msgspec
from aiohttp.web import BaseRequest, Response, StreamResponse

from signalbox_ledger.client import LedgerUnavailableError
from signalbox_ledger.documents import run_document
from signalbox_proxy import model_list
from signalbox_proxy.exchange import Exchange, declared_in, read_headers
from signalbox_proxy.identity import identify
from signalbox_proxy.pipeline import serve
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.replies import SERVER
from signalbox_proxy.run_ids import is_run_id
from signalbox_proxy.runtime import PreparedAgent, Runtime
from signalbox_proxy.services import Services
from signalbox_proxy.surfaces import BY_PATH, CHAT, MESSAGES, Surface

MODELS_PATH = "/v1/models"
RUNS_PATH = "/signalbox/v1/runs/"

_log = logging.getLogger("signalbox.proxy")


class Traffic:
    """Handles every request of the traffic port."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: BaseRequest) -> StreamResponse:
        """Answer one request, whatever it is."""
        task = asyncio.current_task()
        in_flight = self._services.in_flight
        if task is not None:
            in_flight.add(task)
        try:
            response = await self._route(request)
            if self._services.stopping and not response.prepared:
                response.force_close()  # told now, so that the client's next request goes elsewhere
            return response
        finally:
            if task is not None:
                in_flight.discard(task)

    async def _route(self, request: BaseRequest) -> StreamResponse:
        path = request.rel_url.raw_path
        surface = BY_PATH.get(path) if request.method == "POST" else None
        exchange: Exchange | None = None
        headers: dict[str, str] = {}
        try:
            headers = read_headers(request)
            if surface is not None:
                declared = declared_in(headers)
                exchange = Exchange(self._services, surface, request, headers, declared)
                try:
                    return await exchange.sent(await serve(exchange))
                finally:
                    exchange.leave()
            return _document(await self._look_up(request.method, path, headers))
        except Refusal as raised:
            refusal = raised
        except Exception:  # noqa: BLE001  the last line of defence: a client always gets an answer
            _log.exception("request failed outside of a run")
            refusal = Refusal("internal", "Signalbox failed to serve this request. It is logged.")
        self._count(exchange, refusal)
        return rendered(
            surface or _sdk(path, headers), refusal, exchange.run_id if exchange else ""
        )

    def _count(self, exchange: Exchange | None, refusal: Refusal) -> None:
        """Count what leaves no run."""
        if exchange is None or not exchange.run_id:
            self._services.metrics.refused(refusal.code)

    async def _look_up(self, method: str, path: str, headers: dict[str, str]) -> object:
        """What can be read without a model call: models, and one's own runs."""
        if method != "GET":
            raise _not_governed(path)
        if path == MODELS_PATH:
            runtime, agent = self._identified(headers)
            return model_list.model_list(runtime, agent, model_list.shape_of(headers))
        if path.startswith(MODELS_PATH + "/"):
            runtime, agent = self._identified(headers)
            name = path[len(MODELS_PATH) + 1 :]
            return model_list.one_model(runtime, agent, name, model_list.shape_of(headers))
        if path.startswith(RUNS_PATH):
            _, agent = self._identified(headers)
            return await self._own_run(agent, path[len(RUNS_PATH) :])
        raise _not_governed(path)

    def _identified(self, headers: dict[str, str]) -> tuple[Runtime, PreparedAgent]:
        runtime = self._services.current_runtime()
        now_s = self._services.ledger.now_ms() // 1000
        authorization = headers.get("authorization", "")
        caller = identify(runtime, authorization, headers.get("x-api-key", ""), now_s)
        return runtime, runtime.agents[caller.agent.id]

    async def _own_run(self, agent: PreparedAgent, run_id: str) -> object:
        run = None
        if is_run_id(run_id):
            try:
                run = await self._services.ledger.find_run(run_id)
            except LedgerUnavailableError:
                raise Refusal(
                    "store_unavailable", "The ledger cannot be asked at the moment. Try again."
                ) from None
        if run is None or run.agent != agent.agent.id:
            raise Refusal(
                "run_not_found", f"Agent {agent.agent.id} has no such run. Ask with its own key."
            )
        return run_document(run)


def _document(document: object) -> Response:
    return Response(
        body=msgspec.json.encode(document),
        content_type="application/json",
        headers={"server": SERVER},
    )


def rendered(surface: Surface, refusal: Refusal, run_id: str) -> Response:
    """A refusal in the shape of the SDK that asked, with the run that it can be looked up by."""
    if run_id:
        refusal = dataclasses.replace(refusal, message=f"{refusal.message} Run {run_id}.")
    status, headers, body = surface.error(refusal, run_id)
    return Response(status=status, headers=headers | {"server": SERVER}, body=body)


def _sdk(path: str, headers: dict[str, str]) -> Surface:
    """The surface whose error shape fits a request that reached none."""
    asks_anthropic = path.startswith(MESSAGES.path) or model_list.shape_of(headers) == "anthropic"
    return MESSAGES if asks_anthropic else CHAT


def _not_governed(path: str) -> Refusal:
    governed = ", ".join((*BY_PATH, MODELS_PATH))
    return Refusal(
        "surface_not_governed",
        f"This path is not governed, and nothing passes ungoverned. Governed are: {governed}.",
    )

"""Answers that providers store: remembered when they end, looked up when a request continues one.

Whose a stored answer is: the domain's, agent's, user's and session's of the run that it answered,
as they were stated then. A request that continues it is of its class at least, has its data
assets, pays for what it brings into the input, and goes to the lane that stores it (`storage`).
All others are told the same: that there is no such answer. Only requests that store or continue
one ask the ledger.
"""

import hashlib
from dataclasses import replace
from typing import Final, Protocol, cast

from msgspec.structs import replace as replace_struct

from signalbox_ledger.client import LedgerUnavailableError, ProxyLedger
from signalbox_ledger.protocol import FindResponse, KeepResponse
from signalbox_ledger.records import Usage
from signalbox_ledger.replies import StoredResponse
from signalbox_proxy.classification import Facts
from signalbox_proxy.declarations import Declarations
from signalbox_proxy.model_request import CacheWrite, Continued, ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_snapshot.snapshot import Agent, Sensitivity

_CACHE_WRITES: Final[tuple[CacheWrite, ...]] = ("none", "implicit", "5m", "1h")
"""The cheapest first."""


class _Asker(Protocol):
    """Who asks, as far as it makes an answer somebody's: `Declarations` and `Facts` tell it."""

    @property
    def user(self) -> str:
        """The person, or ""."""

    @property
    def session(self) -> str:
        """The session, or ""."""


async def continued(
    ledger: ProxyLedger, agent: Agent, declared: Declarations, request: ModelRequest
) -> tuple[ModelRequest, Declarations]:
    """The request with what is remembered of the answer that it continues, and what that makes of
    its class. What is not remembered changes nothing: the route decision then refuses.

    Raises `Refusal("store_unavailable")` where the ledger does not answer.
    """
    asked = FindResponse(_owner(agent, declared), _named(request.previous_response))
    try:
        stored = await ledger.responses.find(asked)
    except LedgerUnavailableError:
        raise Refusal(
            "store_unavailable",
            "The ledger cannot say what previous_response_id stands for. Try again.",
            retry_after_s=1,
        ) from None
    if stored is None:
        return request, declared
    stated, level = declared.sensitivity, cast("Sensitivity", stored.sensitivity)
    declared = replace(
        declared,
        sensitivity=level if stated is None else max(stated, level),
        data_assets=tuple(dict.fromkeys((*declared.data_assets, *stored.data_assets))),
    )
    written = cast("CacheWrite", stored.cache_write)
    request = replace_struct(
        request,
        continues=Continued(stored.run_id, stored.model, stored.lane, stored.tokens),
        input_tokens=request.input_tokens + stored.tokens,
        cache_write=max(request.cache_write, written, key=_CACHE_WRITES.index),
    )
    return request, declared


class ResponseKeeper:
    """Remembers the answer of one attempt, once its provider has said that it is stored.

    Before the client can know that: who continues it at once finds it. An answer that broke off
    is not remembered: what it holds, and so what it would cost, nobody knows.
    """

    __slots__ = ("_done", "_facts", "_lane", "_ledger", "_request", "_run_id")

    def __init__(
        self,
        ledger: ProxyLedger,
        run_id: str,
        facts: Facts,
        request: ModelRequest,
        lane: PreparedLane,
    ) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._facts = facts
        self._request = request
        self._lane = lane
        self._done = False

    async def look(self, answer: AnswerFacts) -> None:
        """Remember it, if it is stored and that was not done yet."""
        usage = answer.usage
        if self._done or not answer.stored_id or usage is None:
            return
        self._done = True
        await self._ledger.responses.keep(
            KeepResponse(
                _owner(self._facts.agent, self._facts),
                _named(answer.stored_id),
                self._stored(usage, answer.items),
            )
        )

    def _stored(self, usage: Usage, items: int) -> StoredResponse:
        facts = self._facts
        return StoredResponse(
            run_id=self._run_id,
            model=self._lane.model.id,
            lane=self._lane.lane.name,
            tokens=_tokens(usage, items, self._lane),
            sensitivity=facts.sensitivity,
            data_assets=[asset.id for asset in facts.data_assets],
            cache_write=self._request.cache_write,
        )


def keeper_for(
    ledger: ProxyLedger, run: RunDraft, request: ModelRequest, lane: PreparedLane
) -> ResponseKeeper | None:
    """What remembers the answer of a lane; None where it stores none. A translation never does."""
    if not request.stores or request.surface not in lane.native_to or run.facts is None:
        return None
    return ResponseKeeper(ledger, run.run_id, run.facts, request, lane)


def _tokens(usage: Usage, items: int, lane: PreparedLane) -> int:
    """All that the provider counted, and what its template adds to each item that it said."""
    counted = usage.input + usage.cached_input + usage.cache_write_5m + usage.cache_write_1h
    return counted + usage.output + lane.model.limits.per_message * items


def _owner(agent: Agent, asker: _Asker) -> bytes:
    return _digest("owner", agent.domain, agent.id, asker.user, asker.session)


def _named(response_id: str) -> bytes:
    return _digest("response", response_id)


def _digest(*parts: str) -> bytes:
    """Each part with its length: what one ends with is not what the next begins with."""
    digest = hashlib.sha256(b"signalbox-stored-response/v1")
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.digest()

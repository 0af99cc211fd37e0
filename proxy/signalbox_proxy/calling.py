"""Call: one attempt at a provider, up to the first byte that the client could see.

Everything before that byte may fail over: connect errors, throttling, server errors, timeouts.
What each of them costs is settled here; what comes after is `delivery`'s.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from signalbox_ledger.client import JournalError
from signalbox_ledger.records import AttemptOutcome
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.classification import Facts
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.prompt_caching import sent_on
from signalbox_proxy.quotes import Quote
from signalbox_proxy.refusals import MAX_RETRY_AFTER_S, Refusal
from signalbox_proxy.routing import Decision
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.services import Services
from signalbox_proxy.signin.contract import SignInError, Unsigned
from signalbox_proxy.streamed_types import EVENT_STREAM, streamed_as
from signalbox_proxy.surfaces import AnswerFacts, Carrier, StreamReader, Surface
from signalbox_proxy.surfaces.multipart import typed
from signalbox_proxy.surfaces.reasoning_owner import OwnedReasoning
from signalbox_proxy.upstream import (
    UpstreamAnswer,
    UpstreamBroken,
    UpstreamCall,
    UpstreamConnectError,
    UpstreamTimeout,
    UpstreamTooLong,
)
from signalbox_proxy.wire_formats import places_points

MAX_ANSWER = 64 * 1024 * 1024
MAX_ERROR_BODY = 256 * 1024
ERROR_BODY_S = 5.0

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id")
"""OpenAI and most others, Anthropic, Amazon, Azure."""

_OURS = frozenset({401, 403, 407})
"""A provider that refuses our credential: nothing that the client could mend."""

_THEIRS = frozenset({408, 424})
"""It took too long, or what the provider itself depends on failed (Bedrock's model errors)."""

_THROTTLED = frozenset({429, 529})


@dataclass(slots=True, eq=False)
class WholeAnswer:
    """An answer that came completely, in the client's words, not settled yet."""

    body: bytes
    facts: AnswerFacts


@dataclass(frozen=True, slots=True, eq=False)
class StreamedAnswer:
    """A stream whose first byte has come; `reader` gives it in the client's words."""

    upstream: UpstreamAnswer
    reader: StreamReader
    media_type: str = EVENT_STREAM


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """An attempt that failed and is settled; the refusal to give when no other can be made."""

    refusal: Refusal


@dataclass(slots=True, eq=False)
class ProviderCaller:
    """Calls providers on behalf of one request."""

    exchange: Exchange
    facts: Facts
    decision: Decision

    @property
    def request(self) -> ModelRequest:
        """What is asked, as the decision has it."""
        return self.decision.request

    async def call(self, attempt: AttemptInFlight) -> WholeAnswer | StreamedAnswer | Failure:
        """Send one attempt and wait for its answer, or for a stream's first byte.

        Raises `Refusal("provider_rejected")` for the provider's own 4xx, and one that is final for
        an answer that is too long: another lane's would be billed as well, and be as long.
        """
        lane = attempt.reservation.quote.lane
        check_hard(self.facts, lane)
        credential = credential_of(self.exchange.services.credentials, lane)
        if credential is None:
            attempt.unsent("the provider's credential is missing")
            return Failure(_no_lane(lane, "has no credential on this proxy"))
        carrier = carrier_for(self.exchange.surface, self.decision, lane, self.exchange.run_id)
        call = upstream_call(
            carrier,
            self.request,
            attempt.reservation.quote,
            headers=self.exchange.headers,
            credential=credential,
            first_chunk_ms=self.decision.first_chunk_ms,
        )
        try:
            call = signed(self.exchange.services, call, lane)
        except SignInError as error:
            attempt.unsent(str(error))
            return Failure(_no_lane(lane, "is not signed in on this proxy"))
        try:
            attempt.dispatching()
        except JournalError:
            attempt.unsent("the journal cannot be written")
            raise Refusal(
                "store_unavailable",
                "This proxy has no room for its journal, and nothing runs without it. Try again.",
                retry_after_s=5,
            ) from None
        try:
            answer = await self.exchange.services.upstream.send(call)
            return await self._read(attempt, answer, carrier)
        except UpstreamConnectError as error:
            attempt.unsent(str(error))
            return Failure(_no_lane(lane, "cannot be reached"))
        except UpstreamTimeout as error:
            _name(attempt, error.headers)
            attempt.lost("timeout", str(error))
            return Failure(
                Refusal("provider_timeout", f"{_named(lane)} did not answer in time. Try again.")
            )
        except UpstreamTooLong as error:
            attempt.lost("error", str(error))
            raise _too_long(lane) from None
        except UpstreamBroken as error:
            _name(attempt, error.headers)
            attempt.lost("error", str(error))
            return Failure(_failed(lane, "broke off its answer"))

    async def _read(
        self, attempt: AttemptInFlight, answer: UpstreamAnswer, carrier: Carrier
    ) -> WholeAnswer | StreamedAnswer | Failure:
        _name(attempt, answer.headers)
        if not 200 <= answer.status < 300:
            return await self._refused(attempt, answer, carrier)
        attempt.draft.status = answer.status
        if self.request.stream:
            attempt.first_chunk()
            streamed = streamed_as(carrier, self.request, answer.headers.get("content-type", ""))
            if streamed is None:
                answer.close()
                raise UpstreamBroken("the answer is not of the form that was asked for")
            return StreamedAnswer(answer, *streamed)
        body = await answer.read(MAX_ANSWER, self.exchange.answer_room())
        attempt.first_chunk()
        facts = carrier.read_answer(self.request, body)
        if facts.error and facts.usage is None:
            raise UpstreamBroken(facts.error)
        return WholeAnswer(body if facts.body is None else facts.body, facts)

    async def _refused(
        self, attempt: AttemptInFlight, answer: UpstreamAnswer, carrier: Carrier
    ) -> Failure:
        """An error status: not billed, and another candidate may do better."""
        status = answer.status
        lane = attempt.reservation.quote.lane
        outcome: AttemptOutcome = "error"
        if status in _THROTTLED:
            outcome = "throttled"
        elif 400 <= status < 500 and status not in _OURS and status not in _THEIRS:
            outcome = "rejected"
        attempt.failed(outcome, status, f"status {status}")
        body = await _error_body(answer) if outcome == "rejected" else b""
        answer.close()
        if outcome == "rejected":
            refusal = carrier.rejection(status, body)
            if refusal.code == "provider_rejected":
                raise refusal
            return Failure(refusal)
        wait = _retry_after(answer.headers) if outcome == "throttled" else None
        what = "is throttling" if outcome == "throttled" else f"answered with status {status}"
        return Failure(_failed(lane, what, wait))


def credential_of(credentials: CredentialStore, lane: PreparedLane) -> str | None:
    """The key that a lane's calls carry: "" where there is none in them, None if missing."""
    return credentials.get(lane.lane.auth_key) if lane.lane.auth == "apiKey" else ""


def carrier_for(surface: Surface, decision: Decision, lane: PreparedLane, run_id: str) -> Carrier:
    """What carries the request to a lane: the surface itself, or a translation to its format."""
    request = decision.request
    if request.surface in lane.native_to:
        if request.surface != "responses" or not (lane.marks_reasoning or request.has_sealed):
            return surface
        return OwnedReasoning(surface, lane.reasoning_owner, marks=lane.marks_reasoning)
    reasons = "reasoning" in lane.model.capabilities
    places = places_points(request, lane)
    return decision.translations.carrier(lane.lane, run_id, reasons=reasons, places=places)


def signed(services: Services, call: UpstreamCall, lane: PreparedLane) -> UpstreamCall:
    """The call with what proves who sends it, where the lane signs in as an identity.

    Raises `SignInError` while that is not signed in.
    """
    if lane.lane.identity is None:
        return call
    if services.identities is None:
        raise SignInError("this proxy has no identities")
    unsigned = Unsigned("POST", call.url, call.headers, call.body)
    proof = services.identities.headers(lane.lane, unsigned, services.ledger.now_ms() // 1000)
    return replace(call, headers={**call.headers, **proof})


def upstream_call(
    carrier: Carrier,
    request: ModelRequest,
    quote: Quote,
    *,
    headers: Mapping[str, str],
    credential: str,
    first_chunk_ms: int | None,
) -> UpstreamCall:
    """The call of one attempt, complete. `headers` are the client's."""
    lane = quote.lane.lane
    timeout_s = lane.request_timeout_ms / 1000
    first_s = timeout_s if first_chunk_ms is None else first_chunk_ms / 1000
    body = carrier.upstream_body(sent_on(request, quote.lane), lane, quote.output_limit)
    return UpstreamCall(
        url=lane.endpoint.rstrip("/") + carrier.upstream_path(lane),
        headers=typed(carrier.upstream_headers(headers, lane, credential), body),
        body=body,
        timeout_s=timeout_s,
        first_chunk_s=first_s if request.stream else None,
    )


def check_hard(facts: Facts, lane: PreparedLane) -> None:
    """The last look before sending: whatever the steps before did, these two hold.

    Raises `Refusal` with `residency` or `sensitivity_not_permitted`.
    """
    where = lane.lane
    if facts.jurisdictions is not None and where.jurisdiction not in facts.jurisdictions:
        raise Refusal("residency", f"{lane.id} is outside the residency lock of this request.")
    if where.max_sensitivity < facts.sensitivity:
        raise Refusal("sensitivity_not_permitted", f"{lane.id} is not cleared for such data.")


async def _error_body(answer: UpstreamAnswer) -> bytes:
    try:
        async with asyncio.timeout(ERROR_BODY_S):
            return await answer.read(MAX_ERROR_BODY)
    except (UpstreamBroken, UpstreamTimeout, TimeoutError):
        return b""


def _named(lane: PreparedLane) -> str:
    return f"Provider {lane.lane.provider} ({lane.id})"


def _no_lane(lane: PreparedLane, what: str) -> Refusal:
    return Refusal("no_lane", f"{_named(lane)} {what}. Try again.", retry_after_s=2)


def _failed(lane: PreparedLane, what: str, wait: float | None = None) -> Refusal:
    return Refusal("provider_failed", f"{_named(lane)} {what}. Try again.", retry_after_s=wait)


def _too_long(lane: PreparedLane) -> Refusal:
    what = f"{_named(lane)} answered with more than {MAX_ANSWER} bytes, which may have been billed"
    return Refusal("provider_failed", f"{what}. Ask for less at once.", is_final=True)


def _name(attempt: AttemptInFlight, headers: Mapping[str, str]) -> None:
    """Keep the provider's own name of the request, where a header tells it."""
    for name in _REQUEST_IDS:
        if told := headers.get(name):
            attempt.named(told)
            return


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        return None
    return float(min(int(text), MAX_RETRY_AFTER_S))

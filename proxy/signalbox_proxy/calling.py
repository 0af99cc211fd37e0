"""Call: one attempt at a provider, up to the first byte that the client could see.

Everything before that byte may fail over: connect errors, throttling, server errors, timeouts.
What each of them costs is settled here; what comes after is `delivery`'s.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from signalbox_ledger.client import JournalError
from signalbox_ledger.records import AttemptOutcome
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.classification import Facts
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.quotes import Quote
from signalbox_proxy.refusals import MAX_RETRY_AFTER_S, Refusal
from signalbox_proxy.routing import Decision
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.services import Services
from signalbox_proxy.surfaces import AnswerFacts, Surface
from signalbox_proxy.surfaces.errors import provider_rejection
from signalbox_proxy.upstream import (
    UpstreamAnswer,
    UpstreamBroken,
    UpstreamCall,
    UpstreamConnectError,
    UpstreamTimeout,
)

MAX_ANSWER = 64 * 1024 * 1024
MAX_ERROR_BODY = 256 * 1024
ERROR_BODY_S = 5.0

_OURS = frozenset({401, 403, 407})
"""A provider that refuses our credential: nothing that the client could mend."""

_THROTTLED = frozenset({429, 529})


@dataclass(slots=True, eq=False)
class WholeAnswer:
    """An answer that came completely, not settled yet."""

    body: bytes
    facts: AnswerFacts


@dataclass(frozen=True, slots=True, eq=False)
class StreamedAnswer:
    """A stream whose first byte has come."""

    upstream: UpstreamAnswer


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """An attempt that failed and is settled; the refusal to give when no other can be made."""

    refusal: Refusal


@dataclass(slots=True, eq=False)
class ProviderCaller:
    """Calls providers on behalf of one request."""

    services: Services
    surface: Surface
    request: ModelRequest
    facts: Facts
    headers: Mapping[str, str]
    decision: Decision

    async def call(self, attempt: AttemptInFlight) -> WholeAnswer | StreamedAnswer | Failure:
        """Send one attempt and wait for its answer, or for a stream's first byte.

        Raises `Refusal("provider_rejected")` for the provider's own 4xx.
        """
        lane = attempt.reservation.quote.lane
        check_hard(self.facts, lane)
        credential = credential_of(self.services.credentials, lane)
        if credential is None:
            attempt.unsent("the provider's credential is missing")
            return Failure(_no_lane(lane, "has no credential on this proxy"))
        call = upstream_call(
            self.surface,
            self.request,
            attempt.reservation.quote,
            headers=self.headers,
            credential=credential,
            first_chunk_ms=self.decision.first_chunk_ms,
        )
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
            answer = await self.services.upstream.send(call)
            return await self._read(attempt, answer)
        except UpstreamConnectError as error:
            attempt.unsent(str(error))
            return Failure(_no_lane(lane, "cannot be reached"))
        except UpstreamTimeout as error:
            _name(attempt, error.headers)
            attempt.lost("timeout", str(error))
            return Failure(
                Refusal("provider_timeout", f"{_named(lane)} did not answer in time. Try again.")
            )
        except UpstreamBroken as error:
            _name(attempt, error.headers)
            attempt.lost("error", str(error))
            return Failure(_failed(lane, "broke off its answer"))

    async def _read(
        self, attempt: AttemptInFlight, answer: UpstreamAnswer
    ) -> WholeAnswer | StreamedAnswer | Failure:
        _name(attempt, answer.headers)
        if not 200 <= answer.status < 300:
            return await self._refused(attempt, answer)
        attempt.draft.status = answer.status
        if self.request.stream:
            attempt.first_chunk()
            return StreamedAnswer(answer)
        body = await answer.read(MAX_ANSWER)
        attempt.first_chunk()
        facts = self.surface.read_answer(self.request, body)
        if facts.error and facts.usage is None:
            raise UpstreamBroken(facts.error)
        return WholeAnswer(body, facts)

    async def _refused(self, attempt: AttemptInFlight, answer: UpstreamAnswer) -> Failure:
        """An error status: not billed, and another candidate may do better."""
        status = answer.status
        lane = attempt.reservation.quote.lane
        outcome: AttemptOutcome = "error"
        if status in _THROTTLED:
            outcome = "throttled"
        elif 400 <= status < 500 and status not in _OURS and status != 408:
            outcome = "rejected"
        attempt.failed(outcome, status, f"status {status}")
        body = await _error_body(answer) if outcome == "rejected" else b""
        answer.close()
        if outcome == "rejected":
            raise provider_rejection(status, body)
        wait = _retry_after(answer.headers) if outcome == "throttled" else None
        what = "is throttling" if outcome == "throttled" else f"answered with status {status}"
        return Failure(_failed(lane, what, wait))


def credential_of(credentials: CredentialStore, lane: PreparedLane) -> str | None:
    """What a lane's calls prove themselves with: "" where it wants nothing, None if missing."""
    return "" if lane.lane.auth == "none" else credentials.get(lane.lane.auth_key)


def upstream_call(
    surface: Surface,
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
    return UpstreamCall(
        url=lane.endpoint.rstrip("/") + surface.upstream_path(lane),
        headers=surface.upstream_headers(headers, lane, credential),
        body=surface.upstream_body(request, lane, quote.output_limit),
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
        raise Refusal(
            "sensitivity_not_permitted", f"{lane.id} is not cleared for data of this class."
        )


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


def _name(attempt: AttemptInFlight, headers: Mapping[str, str]) -> None:
    """Keep the provider's own name of the request: its usage report knows it by that."""
    value = headers.get("x-request-id") or headers.get("request-id") or ""
    if value and value.isprintable():
        attempt.draft.provider_request_id = value[:128]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        return None
    return float(min(int(text), MAX_RETRY_AFTER_S))

"""`Idempotency-Key`: a request that a client repeats is not charged twice.

The key belongs to its agent and is claimed for the whole fleet, after the first hold and before
anything is dispatched; only requests that carry one pay that round trip. It is used up by a run
of which any attempt may have been billed, and given back by every other: a refusal, a provider
that cannot be reached or answers with an error status can be tried again with the same key.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, Self

import msgspec

from signalbox_ledger.client import LedgerUnavailableError
from signalbox_ledger.protocol import Claimed, ClaimKey
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.run_draft import RunDraft

HEADER: Final = "idempotency-key"
MAX_LENGTH: Final = 255

_WIRE_HEADERS: Final = ("anthropic-version", "anthropic-beta")
"""Headers beside Signalbox' own that decide what is asked of a provider."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")


class IdempotencyKey:
    """The key of one request, if it carries one. Leaving the context gives back what the run did
    not use up.

    Entering raises `Refusal("invalid_request")` for what is no key.
    """

    __slots__ = ("_claimed", "_exchange", "_key", "_run")

    def __init__(self, exchange: Exchange, run: RunDraft) -> None:
        self._exchange = exchange
        self._run = run
        self._key = exchange.headers.get(HEADER)
        self._claimed: ClaimKey | None = None

    async def __aenter__(self) -> Self:
        if self._key is not None:
            _check(self._key)
        return self

    async def claim(self) -> None:
        """Make the key this run's, once. Raises `Refusal`: with `idempotency_key_used`,
        `idempotency_key_in_flight` or `idempotency_key_reused` if it is another run's, with
        `store_unavailable` if nobody can say."""
        request = self._run.request
        if self._key is None or self._claimed is not None or request is None:
            return
        asked = ClaimKey(
            agent=self._run.agent.agent.id,
            key_digest=_digest(self._key),
            body_digest=request_digest(request, self._exchange.headers, self._exchange.declared),
            run_id=self._run.run_id,
        )
        try:
            answer = await self._exchange.services.ledger.keys.claim(asked)
        except LedgerUnavailableError:
            raise Refusal(
                "store_unavailable",
                "The ledger cannot say whether this Idempotency-Key was used. Try again.",
            ) from None
        if answer.run_id != asked.run_id:
            raise _refusal(answer)
        self._claimed = asked

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._claimed is None:
            return
        if any(attempt.settlement in ("usage", "full") for attempt in self._run.attempts):
            if isinstance(error, Refusal):
                error.message += " Its Idempotency-Key is used up: repeat it with a new one only."
                error.is_final = True
            return
        await self._exchange.services.ledger.keys.release(self._claimed)


def request_digest(
    request: ModelRequest, headers: Mapping[str, str], declared: Mapping[str, str]
) -> bytes:
    """What makes two requests the same: surface, decoded body, and the headers that govern it.

    Spaces and the order of members make no other request; a number spelled otherwise may.
    """
    wire = {name: headers[name] for name in _WIRE_HEADERS if name in headers}
    content = _ENCODER.encode([request.surface, request.body, request.metadata, declared, wire])
    return hashlib.sha256(content).digest()


def _digest(key: str) -> bytes:
    return hashlib.sha256(b"signalbox-idempotency-key/v1\0" + key.encode()).digest()


def _check(key: str) -> None:
    visible = key.isascii() and key.isprintable() and " " not in key
    if not key or len(key) > MAX_LENGTH or not visible:
        raise Refusal(
            "invalid_request",
            f"Idempotency-Key has to be 1 to {MAX_LENGTH} visible ASCII characters. Send a UUID.",
            HEADER,
        )


def _refusal(answer: Claimed) -> Refusal:
    run = answer.run_id
    if not answer.same_body:
        return Refusal(
            "idempotency_key_reused",
            f"This Idempotency-Key belongs to another request, that of run {run}. Use a new key "
            "for each request, and the same only to repeat one unchanged.",
            HEADER,
            earlier_run=run,
        )
    if not answer.ended:
        return Refusal(
            "idempotency_key_in_flight",
            f"This request is under way as run {run}, and is not sent a second time. Wait for its "
            f"answer, or look it up at /signalbox/v1/runs/{run}.",
            HEADER,
            earlier_run=run,
        )
    return Refusal(
        "idempotency_key_used",
        f"This request was served as run {run} and may have been billed, so it is not sent a "
        f"second time. Look it up at /signalbox/v1/runs/{run}, or ask anew with another key.",
        HEADER,
        earlier_run=run,
    )

"""The control port of a proxy as the control plane calls it: push an envelope, ask for the status.

A failure to reach a proxy is a value (`Unreachable`), like a rejection: the caller decides what
to do about either. Answers are bounded in size and time.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

from signalbox_operator.head import Head

SNAPSHOT_PATH: Final = "/control/v1/snapshot"
STATUS_PATH: Final = "/control/v1/status"
MAX_ANSWER: Final = 64 * 1024
"""Largest answer of a control port that is read, in bytes."""

MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""Largest document about the ledger that is read, in bytes."""

STATUS_S: Final = 5.0
"""How long a proxy has to tell its status: it takes milliseconds. Nobody waits that long for it."""

DOCUMENT_S: Final = 30.0
"""How long a proxy has to answer what its ledger is asked for."""

PUSHED_S: Final = 3.0
"""How long a proxy has to take a small snapshot. `push_limit_s` adds what its bytes need."""

_PUSHED_AT_MOST_S: Final = 30.0
_BYTES_PER_S: Final = 2 * 1024 * 1024
_CONNECT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A proxy of the fleet: its name and the base URL of its control port."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The proxy runs this generation."""

    proxy: str
    generation: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The proxy refuses the snapshot: why, and where in it."""

    proxy: str
    reason: str
    path: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The proxy did not answer, or not as a proxy does; trying again may help. `cannot`: it did,
    and says that it cannot keep the snapshot at present, whatever stands in it."""

    proxy: str
    reason: str
    cannot: bool = False


PushOutcome = Accepted | Rejected | Unreachable


def push_limit_s(size: int) -> float:
    """How long a proxy has to take a snapshot of so many bytes: to be sent it, check it, compile
    it and have it on disk."""
    return min(_PUSHED_AT_MOST_S, PUSHED_S + size / _BYTES_PER_S)


def refusal_of(outcome: PushOutcome | None) -> Rejected | None:
    """Why a proxy that answered does not run what it was sent, as people are told it: the snapshot
    is refused, or cannot be kept."""
    if isinstance(outcome, Unreachable) and outcome.cannot:
        return Rejected(outcome.proxy, outcome.reason, "$")
    return outcome if isinstance(outcome, Rejected) else None


class LastRejection(msgspec.Struct, frozen=True):
    """What a proxy refused last."""

    reason: str = ""
    path: str = ""


class Trusts(msgspec.Struct, frozen=True):
    """What a proxy accepts, by names and digests: signing keys, tokens (the first is sent),
    authorities of peers; and the certificate that it shows."""

    keys: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    certificate: str = ""


class LedgerTells(msgspec.Struct, frozen=True):
    """What the ledger told a proxy: the generation that its budgets came with, and the lowest that
    may draw. It outlives the head, as an external database outlives a cluster."""

    generation: int = 0
    min_generation: int = 0


class ProxyStatus(msgspec.Struct, frozen=True):
    """What a proxy says of itself. Fields of later releases are ignored.

    `key_id` names the key that sealed what it runs, `schemas` are those that it reads.
    """

    name: str
    ready: bool
    generation: int | None = None
    version: str | None = None
    holder: str = ""
    last_rejection: LastRejection | None = None
    quarantined: tuple[str, ...] = ()
    key_id: str = ""
    schemas: tuple[int, ...] = (1,)
    trusts: Trusts = Trusts()
    ledger: LedgerTells = LedgerTells()

    @property
    def highest(self) -> int:
        """The highest generation that this proxy knows of."""
        return max(self.generation or 0, self.ledger.generation, self.ledger.min_generation)


def ahead_of(head: Head | None, proxies: Iterable[ProxyStatus]) -> int:
    """The highest generation above the head's that a proxy runs, or that a ledger remembers: it
    takes no budgets of an older one. 0 where there is none.

    A proxy that runs other content as the head's own generation counts as one above it: it refuses
    the head for good, and what was released in between is as unknown as with any that is ahead.
    """
    generation = head.generation if head is not None else 0
    highest = max((_highest(each, head) for each in proxies), default=0)
    return highest if highest > generation else 0


def _highest(proxy: ProxyStatus, head: Head | None) -> int:
    if head is None or proxy.generation != head.generation:
        return proxy.highest
    is_other = proxy.version is not None and proxy.version != head.version
    return max(proxy.highest, head.generation + is_other)


class _Answer(msgspec.Struct, frozen=True):
    accepted: bool
    generation: int = 0
    reason: str = ""
    path: str = ""


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_STATUS: Final = msgspec.json.Decoder(ProxyStatus)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a control port answered; `tag` names the document."""

    status: int
    body: bytes
    tag: str = ""


@dataclass(frozen=True, slots=True)
class ControlTls:
    """How control ports prove who they are: by a certificate of these authorities for this name,
    whatever address they are called at."""

    context: ssl.SSLContext
    server_name: str


class ControlPort:
    """Calls control ports with the fleet's bearer token, which never shows in a repr or error.

    Without `tls`, ports are called by plain HTTP: on one machine, where nobody else listens in.
    """

    def __init__(
        self, session: aiohttp.ClientSession, token: str, tls: ControlTls | None = None
    ) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tls = tls

    async def push_to(self, proxy: ProxyAddress, sealed: bytes) -> PushOutcome:
        """Puts an envelope; every way in which that can end is a value."""
        headers = self._headers | {"Content-Type": "application/json"}
        limit_s = push_limit_s(len(sealed))
        answered = await self._call("PUT", proxy, SNAPSHOT_PATH, headers, sealed, limit_s)
        if isinstance(answered, Unreachable):
            return answered
        status, body = answered
        try:
            answer = _ANSWER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unreachable(proxy.name, f"answered HTTP {status} without a verdict")
        if status == HTTPStatus.INSUFFICIENT_STORAGE:
            return Unreachable(proxy.name, answer.reason[:512], cannot=True)
        if answer.accepted:
            return Accepted(proxy.name, answer.generation)
        return Rejected(proxy.name, answer.reason or f"HTTP {status}", answer.path or "$")

    async def status_of(self, proxy: ProxyAddress) -> ProxyStatus | Unreachable:
        """What a proxy runs."""
        answered = await self._call("GET", proxy, STATUS_PATH, self._headers, None, STATUS_S)
        if isinstance(answered, Unreachable):
            return answered
        status, body = answered
        try:
            return _STATUS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unreachable(proxy.name, f"answered HTTP {status} without a status")

    async def ask(
        self, proxy: ProxyAddress, path: str, *, order: bytes | None = None, tag: str = ""
    ) -> Answer | Unreachable:
        """Asks for a document of up to MAX_DOCUMENT bytes (`tag`: unless it is still that one), or
        posts an order."""
        headers = self._headers | ({"If-None-Match": tag} if tag else {})
        method = "GET" if order is None else "POST"
        asked = (method, proxy, path, headers, order)
        return await self._exchange(*asked, limit_s=DOCUMENT_S, most=MAX_DOCUMENT)

    async def _call(
        self,
        method: str,
        proxy: ProxyAddress,
        path: str,
        headers: dict[str, str],
        data: bytes | None,
        limit_s: float,
    ) -> tuple[int, bytes] | Unreachable:
        answer = await self._exchange(method, proxy, path, headers, data, limit_s=limit_s)
        return answer if isinstance(answer, Unreachable) else (answer.status, answer.body)

    async def _exchange(
        self,
        method: str,
        proxy: ProxyAddress,
        path: str,
        headers: dict[str, str],
        data: bytes | None,
        *,
        limit_s: float,
        most: int = MAX_ANSWER,
    ) -> Answer | Unreachable:
        try:
            async with self._session.request(
                method,
                proxy.url.rstrip("/") + path,
                headers=headers,
                data=data,
                timeout=aiohttp.ClientTimeout(total=limit_s, connect=_CONNECT_S),
                allow_redirects=False,
                ssl=self._tls.context if self._tls else True,
                server_hostname=self._tls.server_name if self._tls else None,
            ) as answer:
                body = await _read(answer, most)
                return Answer(answer.status, body, answer.headers.get("ETag", ""))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Unreachable(proxy.name, f"{type(error).__name__}: {error}"[:512])


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """At most so many bytes; what is longer is cut and then decodes as nothing."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_chunked(MAX_ANSWER):
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            break
    return b"".join(chunks)[: most + 1]

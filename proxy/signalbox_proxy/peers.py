"""Proxies of the same fleet, asked for the snapshot that they run.

They are given by URL, or found as all addresses behind the name of a headless Service. Asked is
who runs which generation first, then for the highest: a snapshot may be large, and peers many.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from signalbox_proxy.control_tls import PeerAuthorities
from signalbox_snapshot import envelope as envelopes

PULL_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 2.0
MAX_ASKED = 64
"""Most addresses behind a name that are asked, chosen at random where there are more."""

MAX_STATUS = 256 * 1024


class _Status(msgspec.Struct, frozen=True):
    generation: int = 0


@dataclass(frozen=True, slots=True)
class _Peer:
    url: str
    server_name: str | None = None


class Peers:
    """The peers of one proxy. `of` is HOST:PORT, which stands for every address of HOST.

    With `authorities` those behind `of` are called by TLS, and must prove to be HOST.
    """

    def __init__(
        self,
        urls: Sequence[str] = (),
        *,
        of: str | None = None,
        authorities: PeerAuthorities | None = None,
    ) -> None:
        self._urls = tuple(urls)
        self._of = of
        self._authorities = authorities

    def __bool__(self) -> bool:
        return bool(self._urls or self._of)

    async def sealed(self, token: str) -> AsyncGenerator[bytes, None]:
        """The envelopes that peers run, the highest generation first, one after the other."""
        tls = self._authorities.context if self._authorities is not None else None
        timeout = aiohttp.ClientTimeout(total=PULL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        async with aiohttp.ClientSession(
            timeout=timeout, trust_env=False, headers={"Authorization": f"Bearer {token}"}
        ) as session:
            caller = _Caller(session, tls)
            peers = await self._found()
            told = await asyncio.gather(*(caller.generation(peer) for peer in peers))
            running = [each for each in zip(told, peers, strict=True) if each[0]]
            random.shuffle(running)  # not everybody who starts asks the same one
            for _, peer in sorted(running, key=lambda each: -each[0]):
                found = await caller.get(peer, "/control/v1/snapshot", envelopes.MAX_BYTES)
                if found is not None:
                    yield found

    async def _found(self) -> list[_Peer]:
        peers = [_Peer(url.rstrip("/")) for url in self._urls]
        if self._of is None or (self._authorities and self._authorities.context is None):
            return peers
        host, _, port = self._of.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, int(port), type=socket.SOCK_STREAM
                )
        except (OSError, TimeoutError, ValueError):
            return peers
        addresses = sorted({str(address[0]) for *_, address in found})
        chosen = random.sample(addresses, min(len(addresses), MAX_ASKED))
        scheme = "https" if self._authorities else "http"
        return [*peers, *(_Peer(f"{scheme}://{_in_url(ip)}:{port}", host) for ip in chosen)]


class _Caller:
    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext | None) -> None:
        self._session = session
        self._tls = tls

    async def generation(self, peer: _Peer) -> int:
        """The generation that a peer runs; 0 where it runs none, or does not answer."""
        body = await self.get(peer, "/control/v1/status", MAX_STATUS)
        try:
            return msgspec.json.decode(body or b"{}", type=_Status).generation
        except (msgspec.DecodeError, UnicodeDecodeError):
            return 0

    async def get(self, peer: _Peer, path: str, limit: int) -> bytes | None:
        try:
            async with self._session.get(
                peer.url + path,
                allow_redirects=False,
                ssl=self._tls or True,
                server_hostname=peer.server_name if self._tls else None,
            ) as answer:
                if answer.status != 200:
                    return None
                return await _read(answer, limit)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes | None:
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address

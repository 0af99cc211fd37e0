"""The bench's load: closed loop for CPU per request, constant rate for latency.

`python load.py closed PORT CONNECTIONS SECONDS` and `python load.py open PORT RATE SECONDS` send
the request given on standard input (raw HTTP/1.1 bytes) and print one JSON line: how many were
answered, how many were bad (not 200, or a body that is no chat completion), the latencies' median
and 99th percentile in milliseconds.
"""

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

NUMBER = "@" * 12
"""Where a request carries its number: no two user messages are the same."""


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self.waiting = b""
        self.answer: asyncio.Future[bool] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has no base of asyncio's

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        head, blank, body = self.waiting.partition(b"\r\n\r\n")
        if not blank:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        size = int(lower[at : lower.find(b"\r\n", at) if b"\r\n" in lower[at:] else None])
        if len(body) < size or self.answer is None:
            return
        self.waiting = b""
        good = head.startswith(b"HTTP/1.1 200") and b'"chat.completion"' in body
        self.answer.set_result(good)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(False)

    async def ask(self, request: bytes) -> bool:
        """Sends one request and tells whether its answer is good."""
        self.answer = asyncio.get_running_loop().create_future()
        number = b"%0*d" % (len(NUMBER), time.monotonic_ns() % 10 ** len(NUMBER))
        self.transport.write(request.replace(NUMBER.encode(), number))
        return await self.answer


async def connect(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Connection, "127.0.0.1", port)
    return protocol


async def closed(port: int, connections: int, seconds: float, request: bytes) -> dict[str, float]:
    """Each connection asks again as soon as it is answered."""
    end = time.monotonic() + seconds
    latencies: list[float] = []
    bad = 0

    async def client() -> None:
        nonlocal bad
        connection = await connect(port)
        while (began := time.monotonic()) < end:
            good = await connection.ask(request)
            latencies.append(time.monotonic() - began)
            if not good:
                bad += 1
                connection = await connect(port)

    await asyncio.gather(*(client() for _ in range(connections)))
    return summary(latencies, bad)


async def open_loop(port: int, rate: int, seconds: float, request: bytes) -> dict[str, float]:
    """Requests start at a constant rate, whether or not earlier ones were answered."""
    idle = [await connect(port) for _ in range(16)]
    latencies: list[float] = []
    bad = 0

    async def one() -> None:
        nonlocal bad
        connection = idle.pop() if idle else await connect(port)
        began = time.monotonic()
        good = await connection.ask(request)
        latencies.append(time.monotonic() - began)
        bad += not good
        if good:
            idle.append(connection)

    began = time.monotonic()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    return summary(latencies, bad)


def summary(latencies: list[float], bad: int) -> dict[str, float]:
    ordered = sorted(latencies) or [0.0]
    return {
        "requests": len(latencies),
        "bad": bad,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    mode, port, amount, seconds = sys.argv[1:5]
    run = closed if mode == "closed" else open_loop
    raw = sys.stdin.buffer.read()
    print(json.dumps(uvloop.run(run(int(port), int(amount), float(seconds), raw))))

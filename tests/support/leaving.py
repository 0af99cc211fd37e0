"""Clients that do not stay: streams cut at a byte, read slowly, or left before the first one."""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any, Literal

Leave = Literal["close", "abort"]


@dataclass(frozen=True)
class Visit:
    """One stream and how long its client stays: until so many bytes of the answer, head included.

    None stays to the end. `pause_s` is the rest after each read, of `bite` bytes.
    """

    path: str
    body: dict[str, Any]
    until: int | None
    leave: Leave = "close"
    bite: int = 65536
    pause_s: float = 0.0


async def visit(port: int, key: str, plan: Visit) -> bytes:
    """Makes one request by hand, reads as planned, leaves; gives what was read."""
    body = json.dumps(plan.body).encode()
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    limit = max(plan.bite, 1024)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    read = b""
    try:
        writer.write(head.encode() + body)
        await writer.drain()
        while plan.until is None or len(read) < plan.until:
            room = plan.bite if plan.until is None else min(plan.bite, plan.until - len(read))
            piece = await reader.read(room)
            if not piece:
                break
            read += piece
            await asyncio.sleep(plan.pause_s)
    except ConnectionError:
        pass
    finally:
        if plan.leave == "abort":
            writer.transport.abort()
        writer.close()
    return read


def chat(model: str, text: str, **fields: Any) -> dict[str, Any]:
    asked = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
    return asked | fields


def visits(count: int, seed: int) -> list[Visit]:
    """Streams of both wire formats, left anywhere from before the head to after the last chunk."""
    chance = random.Random(seed)
    plans = []
    for number in range(count):
        tokens = chance.choice((3, 30, 90, 240))
        text = f"{seed}/{number} [[tokens {tokens}]] " + chance.choice(
            ("", "", "[[chunk 4]]", "[[first 60]]", "[[slow 60]]")
        )
        trouble = chance.choice(
            (
                *(
                    "",
                    "",
                    "",
                    "",
                    "",
                    "[[omit-usage]]",
                    "[[cut 2]]",
                    "[[cut 0]]",
                    "[[malformed 2]]",
                ),
                *("[[error 2]]", "[[reset]]", "[[status 503]]"),
            )
        )
        if number % 60 == 59:
            trouble = chance.choice(("[[stall 2]]", "[[hang]]"))
        model = chance.choice(("gpt-5-mini", "mistral-small", "llama", "claude-haiku-4-5"))
        fields: dict[str, Any] = {}
        path = "/v1/chat/completions"
        if model.startswith("claude"):
            path, fields = "/v1/messages", {"max_tokens": 300}
        elif chance.random() < 0.5:
            fields = {"stream_options": {"include_usage": True}}
        until = chance.choice((0, 0, 1, 200, None, chance.randrange(300, 4000), *[
            chance.randrange(300, 60_000)] * 4))  # fmt: skip
        slow = chance.random() < 0.15
        plans.append(
            Visit(
                path,
                chat(model, f"{text} {trouble}", **fields),
                until,
                leave=chance.choice(("close", "abort")) if until else "close",
                bite=700 if slow else 65536,
                pause_s=0.01 if slow else 0.0,
            )
        )
    return plans

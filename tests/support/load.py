"""Many clients at once, against one proxy address, until the money is gone."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

CLIENTS = 64
LIMIT_S = 240


@dataclass
class Outcome:
    """What clients were told: how often which status, and every refusal's body."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    refusals: list[dict[str, Any]] = field(default_factory=list)


def chat_body(text: str = "Name three rivers of Europe.", **fields: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": text}]} | fields


async def spend_until_refused(
    base_url: str, key: str, body: dict[str, Any], *, clients: int = CLIENTS
) -> Outcome:
    """Each client asks again and again, politely on 503, until it hears 402."""
    outcome = Outcome()
    start = asyncio.Barrier(clients)

    async def client(session: aiohttp.ClientSession) -> None:
        await start.wait()
        while True:
            async with session.post(f"{base_url}/chat/completions", json=body) as answer:
                outcome.statuses[answer.status] += 1
                document = await answer.json()
            if answer.status == 200:
                continue
            error = document["error"]
            outcome.codes[error["code"]] += 1
            outcome.refusals.append(error)
            if answer.status != 503:
                return
            await asyncio.sleep(0.05)

    timeout = aiohttp.ClientTimeout(total=60)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        asyncio.timeout(LIMIT_S),
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=headers, timeout=timeout
        ) as session,
    ):
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return outcome

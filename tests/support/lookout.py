"""Who was kept from running while money was fought for: the machine, or only the request.

    python -m support.lookout SOCKET... URL...      # until its standard input ends

Forty times a second it asks every authority whether its database answers, and ten times every
proxy for anything at all. It prints the stretches of time (monotonic seconds, `from until` on a
line) in which they were not shown to be well: one took long to say anything, a database owed an
answer for long, or this process itself was kept from asking. Who was refused outside of all of
them was refused for nothing.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.protocol import Alive, Ping
from support.fleet import ENVIRONMENT_PATH, Fleet

_PAUSE_S = 0.025
_PROXY_PAUSE_S = 0.1
_WELL_S = 0.08
"""An answer in that time, of an authority whose database owes nothing for longer, is well."""

_AROUND_S = 0.25
"""What happened so long before a request still delays it."""


async def watch_proxy(url: str) -> None:
    """Print when the loop of the proxy that has `url` for its metrics did not run."""
    async with aiohttp.ClientSession() as session:
        while True:
            asked_at = time.monotonic()
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.get(f"{url}/nothing") as answer:
                    await answer.read()
            now = time.monotonic()
            if now - asked_at > _WELL_S:
                print(asked_at, now, flush=True)
            await asyncio.sleep(_PROXY_PAUSE_S)


async def watch(socket: Path) -> None:
    """Print what the authority behind `socket` did not show, until cancelled."""
    well_at = time.monotonic()
    while True:
        try:
            async with connected(socket) as ask:
                while True:
                    reply = await ask(Ping())
                    now = time.monotonic()
                    owes_s = (reply.silent_ms or 0) / 1000 if isinstance(reply, Alive) else 0.0
                    if now - well_at > _WELL_S + _PAUSE_S or owes_s > _WELL_S:
                        print(well_at - owes_s, now, flush=True)
                    well_at = now
                    await asyncio.sleep(_PAUSE_S)
        except LedgerUnavailableError:
            await asyncio.sleep(_PAUSE_S)


async def main(watched: Sequence[str]) -> None:
    watching = [
        asyncio.create_task(watch_proxy(each) if each.startswith("http") else watch(Path(each)))
        for each in watched
    ]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in watching:
        task.cancel()


class Lookout:
    """The process, for as long as the context lasts."""

    def __init__(self, fleet: Fleet) -> None:
        self._watched = [
            *(str(authority.socket) for authority in fleet.authorities),
            *(proxy.metrics_url for proxy in fleet.proxies),
        ]
        self._stretches: list[tuple[float, float]] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.lookout", *self._watched],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ENVIRONMENT_PATH},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        told, _ = self._process.communicate()
        self._stretches = [
            (float(began), float(ended)) for began, ended in map(str.split, told.splitlines())
        ]

    def was_well(self, began: float, ended: float) -> bool:
        """Whether every authority was, from some time before `began` until `ended`."""
        return not any(
            start < ended and until > began - _AROUND_S for start, until in self._stretches
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

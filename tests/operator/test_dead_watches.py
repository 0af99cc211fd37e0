"""Watches that die without a word are noticed, and the operator goes on or ends."""

import asyncio
import time
from pathlib import Path

import pytest

from signalbox_operator.cluster.api import connected, custom
from signalbox_operator.cluster.canary import Canary, CanaryError
from support.apiserver import ApiServer
from support.faulty_link import FaultyLink
from support.fleet import eventually
from support.operators import OperatorProcess, Platform, everywhere
from support.timing import at_most

NOTICED_S = 60.0


@pytest.mark.parametrize("how", ["half open", "silent"])
def test_what_was_deleted_behind_a_dead_watch_is_gone_within_a_minute(
    platform: Platform, tmp_path: Path, how: str
) -> None:
    server = platform.server
    with FaultyLink(server.port) as link:
        file = tmp_path / "through-link.kubeconfig"
        kubeconfig = server.admin.kubeconfig(file, url=f"https://127.0.0.1:{link.port}")
        with OperatorProcess(platform, tmp_path, kubeconfig=kubeconfig) as operator:
            platform.company(["assistant", "leaver"])
            everywhere(platform)
            if how == "half open":
                link.freeze()
            else:
                link.set(silent=True)
            platform.delete("Agent", "leaver")
            began = time.monotonic()
            if how == "silent":
                eventually(lambda: "cannot list" in operator.log.read_text(), within_s=90)
                link.drop()
                link.heal()
                began = time.monotonic()
            eventually(lambda: knows(platform) == ["assistant"], within_s=at_most(NOTICED_S))
            assert time.monotonic() - began < at_most(NOTICED_S)


def knows(platform: Platform) -> list[str]:
    snapshot = platform.snapshot(platform.fleet.proxies[0])
    return [agent["id"].partition("/")[2] for agent in snapshot["agents"]]


async def test_a_canary_that_is_written_and_not_seen_ends_the_process(
    apiserver: ApiServer, namespace: str
) -> None:
    async with connected(str(apiserver.kubeconfig)) as api:
        canary = Canary(api, namespace, "prod", every_s=0.05, unseen_s=0.5)
        with pytest.raises(CanaryError, match="no watch told of it"):
            await asyncio.wait_for(canary.run(), 60)


async def test_a_canary_that_is_seen_goes_on_and_one_that_cannot_be_written_concludes_nothing(
    apiserver: ApiServer, namespace: str
) -> None:
    async with connected(str(apiserver.kubeconfig)) as api:
        canary = Canary(api, namespace, "prod", every_s=0.01, unseen_s=0.5)
        running = asyncio.create_task(canary.run())
        for _ in range(100):
            await asyncio.sleep(0.01)
            found = await api.list(custom("fleets", namespace))
            for item in found.items:
                canary.seen(item["metadata"])
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        lost = Canary(api, "no-such-namespace", "prod", every_s=0.01, unseen_s=0.05)
        waiting = asyncio.create_task(lost.run())
        done, _ = await asyncio.wait({waiting}, timeout=1.0)
        assert not done
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

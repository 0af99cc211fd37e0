"""What a container left in its journal is settled by the next one of the pod, before it serves."""

import asyncio
import time
from pathlib import Path

from openai import OpenAI

from signalbox_proxy.earlier_runs import EarlierRuns
from signalbox_simulator.process import SimulatorProcess
from support.fleet import Fleet, eventually
from support.snapshots import key_of, snapshot


def ask(fleet: Fleet) -> None:
    with OpenAI(
        base_url=fleet.openai_url, api_key=key_of("retail/support"), max_retries=0
    ) as client:
        client.chat.completions.create(
            model="mini", messages=[{"role": "user", "content": "hello"}], max_tokens=16
        )


def test_a_killed_proxy_is_settled_by_the_next_with_recover(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    with Fleet(tmp_path, simulator=simulator, options=("--recover",)) as fleet:
        fleet.push(snapshot())
        ask(fleet)
        proxy = fleet.proxies[0]
        holder = fleet.control(proxy, "GET", "status")[1]["holder"]
        proxy.kill()
        proxy.start()
        assert fleet.control(proxy, "GET", "status")[1]["holder"] != holder
        folder = fleet.folder / "proxy-0" / "journal"
        assert not list(folder.glob(f"{holder}*"))
        code, told = fleet.control(proxy, "GET", "holders")
        assert code == 200
        states = {each["holder"]: (each["state"], each["slices"]) for each in told["holders"]}
        assert states.get(holder, ("fenced", 0)) == ("fenced", 0)
        ask(fleet)


async def test_without_an_authority_it_serves_on_and_settles_later(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "x.lock").touch()
    earlier = EarlierRuns(tmp_path / "no.sock", tmp_path / "journal")
    began = time.monotonic()
    await earlier.settle(asyncio.Event(), patience_s=0.2)
    assert time.monotonic() - began < 60
    stop = asyncio.Event()
    stop.set()
    await earlier.settle(stop)


def test_the_control_port_tells_holders_and_gives_up_none_that_is_live(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    with Fleet(tmp_path, simulator=simulator) as fleet:
        fleet.push(snapshot())
        ask(fleet)
        proxy = fleet.proxies[0]
        holder = fleet.control(proxy, "GET", "status")[1]["holder"]
        body = b'{"holder": "%s", "by": "operator"}' % holder.encode()
        assert fleet.control(proxy, "POST", "lost", body)[0] == 409
        assert fleet.control(proxy, "POST", "lost", b'{"holder": "nobody", "by": "x"}')[0] == 404
        assert fleet.control(proxy, "POST", "lost", b"{}")[0] == 400
        assert fleet.control(proxy, "POST", "lost", body, token="wrong")[0] == 401
        fleet.authority.stop()
        eventually(lambda: fleet.control(proxy, "GET", "holders")[0] == 503)

"""What was taken away stops proxies that were not told: with their draws, whatever the control
port's state."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.fleet import Fleet, ProxyProcess, eventually
from support.snapshots import agent, budget, key_of, snapshot

SUPPORT, ADVISOR = key_of("retail/support"), key_of("wealth/advisor")
BODY = {"model": "mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}


@pytest.fixture
def pair(tmp_path: Path, simulator: SimulatorProcess) -> Iterator[Fleet]:
    with Fleet(tmp_path, proxies=2, simulator=simulator) as fleet:
        yield fleet
    simulator.behave()


def ask(proxy: ProxyProcess, key: str = ADVISOR) -> httpx.Response:
    return httpx.post(
        f"{proxy.url}/v1/chat/completions",
        json=BODY,
        headers={"authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=60,
    )


def ready(proxy: ProxyProcess) -> bool:
    return httpx.get(f"{proxy.metrics_url}/readyz", trust_env=False, timeout=60).status_code == 200


def without_support() -> Any:
    """The same company, whose agent retail/support is gone."""
    return snapshot(agents=[agent("wealth/advisor")])


def revoke(fleet: Fleet, *told: ProxyProcess) -> bytes:
    """Releases what takes an agent away to some proxies only: the others are cut off."""
    fleet.generation += 1
    sealed = fleet.seal(without_support(), fleet.generation, min_generation=fleet.generation)
    for proxy in told:
        assert fleet.put(proxy, sealed)[0] == 200
    return sealed


def test_a_proxy_that_is_cut_off_stops_soon_after_a_revocation_and_goes_on_when_it_has_it(
    pair: Fleet,
) -> None:
    """The control plane does not reach the second proxy; it draws, and so it hears."""
    told, cut_off = pair.proxies
    pair.push(snapshot())
    assert ask(cut_off, SUPPORT).status_code == 200
    pair.generation += 1
    changed = pair.seal(snapshot(budgets=[budget("retail/day"), budget("wealth/day", 1)]), 2)
    assert pair.put(told, changed)[0] == 200
    assert ask(cut_off, SUPPORT).status_code == 200  # what takes nothing away stops nobody

    for _ in range(5):
        began = time.monotonic()
        sealed = revoke(pair, told)
        eventually(lambda: ask(cut_off, SUPPORT).status_code == 503)
        took_s = time.monotonic() - began
        if took_s < 2:  # a busy machine adds to it
            break
        pair.push(snapshot())
        assert ask(cut_off, SUPPORT).status_code == 200
    assert took_s < 2
    answer = ask(cut_off)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "snapshot_outdated")
    assert f"generation {pair.generation}" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert ready(told)
    assert not ready(cut_off)
    assert pair.control(cut_off, "GET", "status")[1]["ready"] is False

    assert pair.put(cut_off, sealed)[0] == 200
    assert ready(cut_off)
    assert ask(cut_off).status_code == 200
    assert ask(cut_off, SUPPORT).status_code == 401


def test_nothing_of_it_can_be_read_either_while_it_is_outdated(pair: Fleet) -> None:
    told, cut_off = pair.proxies
    pair.push(snapshot())
    assert ask(cut_off, SUPPORT).status_code == 200
    revoke(pair, told)
    eventually(lambda: not ready(cut_off))
    for path in ("/v1/models", "/signalbox/v1/runs/r_0"):
        headers = {"authorization": f"Bearer {SUPPORT}"}
        answer = httpx.get(cut_off.url + path, headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 503


def test_a_proxy_without_traffic_goes_unready_too(pair: Fleet) -> None:
    """A load balancer sends it nothing then, rather than the first request after a pause."""
    pair.push(snapshot())
    revoke(pair, pair.proxies[0])
    eventually(lambda: not ready(pair.proxies[1]))


def test_a_proxy_that_is_told_by_the_ledger_takes_the_snapshot_from_a_peer(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    with Fleet(tmp_path, simulator=simulator) as fleet:
        told = fleet.proxies[0]
        fleet.push(snapshot())
        cut_off = fleet.add_proxy(peers=("http://127.0.0.1:1", told.control_url))
        assert ask(cut_off, SUPPORT).status_code == 200
        revoke(fleet, told)
        eventually(lambda: ask(cut_off, SUPPORT).status_code == 401)
        assert ask(cut_off).status_code == 200


def test_what_was_released_while_the_ledger_was_away_is_told_when_it_is_back(pair: Fleet) -> None:
    told, cut_off = pair.proxies
    pair.push(snapshot())
    assert ask(cut_off, SUPPORT).status_code == 200
    pair.authority.kill()
    revoke(pair, told)
    assert ready(told)
    pair.authority.start()
    eventually(lambda: not ready(cut_off))


def test_a_proxy_that_cannot_take_up_a_snapshot_stops_nobody(pair: Fleet) -> None:
    """The last good snapshot serves on: one full disk must not end a fleet."""
    broken, healthy = pair.proxies
    pair.push(snapshot())
    state = pair.folder / broken.name
    moved = state.rename(state.with_suffix(".away"))
    state.write_text("no folder")
    try:
        assert pair.put(broken, pair.seal(without_support(), 2, min_generation=2))[0] == 507
    finally:
        state.unlink()
        moved.rename(state)
    assert [ready(broken), ready(healthy)] == [True, True]
    assert ask(healthy, SUPPORT).status_code == 200


def test_a_forged_bound_is_refused(pair: Fleet) -> None:
    """Who holds no signing key can neither stop a fleet nor keep it from stopping."""
    pair.push(snapshot())
    sealed = msgspec.json.decode(pair.seal(without_support(), 2, min_generation=2))
    for bound in (0, 1):
        status, answer = pair.put(
            pair.proxies[0], msgspec.json.encode(sealed | {"min_generation": bound})
        )
        assert (status, answer["path"]) == (422, "$.signature")


def test_a_request_under_way_is_not_sent_under_what_was_taken_away(pair: Fleet) -> None:
    """It began under the old snapshot; its first attempt fails when the revocation has arrived."""
    told, cut_off = pair.proxies
    for latency_ms in (2500, 8000, 20_000):  # which a busy machine may outlast
        pair.push(snapshot())
        pair.simulator.behave()
        assert ask(cut_off, SUPPORT).status_code == 200
        seen = pair.simulator.seen()
        pair.simulator.behave({"status": 503, "latency_ms": latency_ms})
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, cut_off, SUPPORT)
            eventually(lambda seen=seen: pair.simulator.seen() > seen)
            revoke(pair, told)
            eventually(lambda: not ready(cut_off))
            in_time = not asked.done() and pair.simulator.seen() == seen + 1
            answer = asked.result()
        if in_time:
            break
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "snapshot_outdated")
    assert pair.simulator.seen() == seen + 1

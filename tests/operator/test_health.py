"""The operator's port for the kubelet and Prometheus, asked over HTTP."""

import time

import pytest
from aiohttp.test_utils import TestClient, TestServer

from signalbox_operator.health import STUCK_S, health_application


async def _get(path: str, *, beat_s: float = 0.0, lacks: str = "") -> tuple[int, str]:
    began = time.monotonic() - beat_s
    application = health_application(lambda: began, lambda: lacks)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get(path)
        return answer.status, await answer.text()


async def test_a_loop_that_hangs_is_not_alive() -> None:
    assert (await _get("/livez"))[0] == 200
    status, said = await _get("/livez", beat_s=STUCK_S + 60)
    assert status == 503
    assert "gave its last sign" in said


async def test_an_operator_that_lacks_something_says_what() -> None:
    assert await _get("/readyz") == (200, "ok\n")
    assert await _get("/readyz", lacks="the Secrets are empty") == (503, "the Secrets are empty\n")


@pytest.mark.parametrize(("lacks", "ready"), [("", "1.0"), ("the Secrets are empty", "0.0")])
async def test_prometheus_sees_whether_it_is_ready_and_when_it_last_passed(
    lacks: str, ready: str
) -> None:
    status, text = await _get("/metrics", lacks=lacks, beat_s=1000)
    assert status == 200
    values = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    assert values["signalbox_operator_ready"] == ready
    assert float(values["signalbox_operator_pass_age_seconds"]) >= 1000
    assert lacks == "" or lacks not in text

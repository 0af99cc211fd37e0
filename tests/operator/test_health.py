"""The operator's port for the kubelet and Prometheus, asked over HTTP."""

import time

import pytest
from aiohttp.test_utils import TestClient, TestServer

from signalbox_operator.health import STUCK_S, health_application
from signalbox_operator.trust import TrustTold


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


@pytest.mark.parametrize(
    ("told", "waits", "unusable"),
    [
        (None, "0.0", "0.0"),
        (TrustTold(), "0.0", "0.0"),
        (TrustTold(waiting=("the new token (tokens) waits for proxy-0 to follow",)), "1.0", "0.0"),
        (TrustTold(problems=("Secret signalbox-signer is malformed",)), "0.0", "1.0"),
    ],
    ids=["nobody looked", "all is well", "a proxy is late", "a Secret is malformed"],
)
async def test_prometheus_sees_a_change_of_keys_that_waits_and_secrets_that_nobody_can_use(
    told: TrustTold | None, waits: str, unusable: str
) -> None:
    application = health_application(time.monotonic, lambda: "", lambda: told)
    async with TestClient(TestServer(application)) as client:
        text = await (await client.get("/metrics")).text()
    values = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
    assert values["signalbox_operator_rotation_waits"] == waits
    assert values["signalbox_operator_secrets_unusable"] == unusable

"""The budget of the key that `make run` prints runs out within a minute and comes back."""

import json
import time
from datetime import UTC, datetime

import pytest
from openai import APIStatusError, OpenAI

from support.running import Running, running_quickstart

LONGEST_S = 59
"""Steady use for so long exhausts the budget, wherever in its window it begins."""


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory):
    with running_quickstart(tmp_path_factory.mktemp("quickstart")) as started:
        yield started


def client(running: Running) -> OpenAI:
    return OpenAI(
        base_url=running.variables["OPENAI_BASE_URL"],
        api_key=running.variables["OPENAI_API_KEY"],
        max_retries=0,
    )


def status(running: Running) -> dict:
    return json.loads(running.signalbox("get", "budget", "retail/assistant", "-o", "json"))[
        "status"
    ]


def exhausted(running: Running) -> str:
    (condition,) = (each for each in status(running)["conditions"] if each["type"] == "Exhausted")
    return condition["status"]


@pytest.mark.proof
def test_steady_use_exhausts_the_budget_and_the_next_window_starts_full(
    quickstart: Running,
) -> None:
    ask = client(quickstart).chat.completions.create
    began = time.monotonic()
    refusal: APIStatusError | None = None
    asked = answered = 0
    # Who is refused in the last second of a window goes on: status is told once a second.
    while refusal is None or exhausted(quickstart) != "True":
        try:
            ask(model="gpt-5.4-mini", messages=[{"role": "user", "content": f"Hello {asked}"}])
            answered += refusal is None
        except APIStatusError as error:
            refusal = refusal or error
        asked += 1
        assert asked < 5 * LONGEST_S
        time.sleep(max(0.0, began + asked - time.monotonic()))
    assert refusal.status_code == 402
    assert refusal.code == "budget_exhausted"
    assert refusal.response.headers["x-should-retry"] == "false"
    assert 10 <= answered <= LONGEST_S
    ends = datetime.fromisoformat(status(quickstart)["windowEnd"])
    assert (ends - datetime.now(tz=UTC)).total_seconds() <= 120
    while exhausted(quickstart) != "False":
        assert (datetime.now(tz=UTC) - ends).total_seconds() < 60
        time.sleep(0.5)
    assert ask(model="gpt-5.4-mini", messages=[{"role": "user", "content": "Again"}]).choices

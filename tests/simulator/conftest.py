"""A running simulated provider, and the vendors' own clients pointed at it."""

from collections.abc import Callable, Iterator

import anthropic
import httpx
import openai
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.provider import ANTHROPIC, KEYS, OPENAI, Provider


@pytest.fixture(scope="session")
def running() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(credentials=KEYS) as process:
        yield process


@pytest.fixture
def provider(running: SimulatorProcess) -> Iterator[Provider]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as http:
        yield Provider(running, http)
    running.behave()


@pytest.fixture
def openai_at(running: SimulatorProcess) -> Iterator[Callable[[str], openai.OpenAI]]:
    made = []

    def connect(host: str) -> openai.OpenAI:
        client = openai.OpenAI(
            base_url=f"{running.base_url(host)}/v1", api_key=KEYS["openai"], max_retries=0
        )
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def openai_client(openai_at: Callable[[str], openai.OpenAI]) -> openai.OpenAI:
    return openai_at(OPENAI)


@pytest.fixture
def anthropic_client(running: SimulatorProcess) -> Iterator[anthropic.Anthropic]:
    client = anthropic.Anthropic(
        base_url=running.base_url(ANTHROPIC), api_key=KEYS["anthropic"], max_retries=0
    )
    yield client
    client.close()

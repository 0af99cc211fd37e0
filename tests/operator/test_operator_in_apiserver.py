"""The operator against a real API server and real proxies: what is applied is enforced."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from support.apiserver import ApiServer
from support.fleet import Fleet, eventually
from support.operators import PROXY_OPTIONS, OperatorProcess, Platform, everywhere
from support.snapshots import key_of


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, proxies=2, options=PROXY_OPTIONS) as running:
        yield running


@pytest.fixture
def platform(apiserver: ApiServer, namespace: str, fleet: Fleet) -> Platform:
    made = Platform(apiserver, namespace, fleet)
    made.install()
    return made


def test_what_is_applied_is_enforced_by_every_proxy_and_said_in_status(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        for proxy in platform.fleet.proxies:
            client = OpenAI(
                base_url=f"{proxy.url}/v1", api_key=key_of(f"{platform.namespace}/assistant")
            )
            said = client.chat.completions.create(
                model="small", messages=[{"role": "user", "content": "hello"}], max_tokens=16
            )
            assert said.usage is not None
        eventually(
            lambda: platform.condition("Agent", "assistant", "Programmed")["status"] == "True"
        )
        assert platform.condition("Agent", "assistant", "Accepted")["reason"] == "Accepted"
        assert operator.is_ready()

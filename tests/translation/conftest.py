"""One installation with a model behind each wire format, and every client pointed at it."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import anthropic
import openai
import pytest

from support import matrix
from support.crossroads import open_crossroads
from support.market import Market
from support.speakers import AnthropicSpeaker, OpenaiSpeaker, ResponsesSpeaker, Speaker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the tests of every pair find, for the documented matrix."""
    report = yield
    if report.when == "call":
        matrix.note(item, passed=report.passed)
    return report


@pytest.fixture(scope="session")
def crossroads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_crossroads(tmp_path_factory.mktemp("crossroads")) as opened:
        yield opened


@pytest.fixture
def speakers(crossroads: Market) -> Iterator[dict[str, Speaker]]:
    """The clients by the name of their surface; none of them asks twice."""
    key = crossroads.key("buyer")
    with ExitStack() as stack:
        chat = stack.enter_context(
            openai.OpenAI(base_url=crossroads.openai_url, api_key=key, max_retries=0)
        )
        messages = stack.enter_context(
            anthropic.Anthropic(base_url=crossroads.url, api_key=key, max_retries=0)
        )
        yield {
            "chat": OpenaiSpeaker(chat),
            "messages": AnthropicSpeaker(messages),
            "responses": ResponsesSpeaker(chat),
        }
    crossroads.behave()

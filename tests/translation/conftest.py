"""One installation with a model behind each wire format, and every client pointed at it."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import anthropic
import openai
import pytest

from support import matrix
from support.crossroads import open_crossroads
from support.javascript import JavascriptSpeaker, Node, node
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


@pytest.fixture(scope="session")
def javascript() -> Iterator[Node]:
    with node("speak.mjs") as running:
        yield running


@pytest.fixture
def speakers(crossroads: Market) -> Iterator[dict[str, Speaker]]:
    """The Python clients by the name of their surface; none of them asks twice."""
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


@pytest.fixture(params=["python", "javascript"])
def speaker(
    request: pytest.FixtureRequest, crossroads: Market, speakers: dict[str, Speaker], client: str
) -> Speaker:
    """The client of a test, in both languages that its vendor ships it in."""
    words = speakers[client]
    if request.param == "python":
        return words
    assert isinstance(words, OpenaiSpeaker | AnthropicSpeaker | ResponsesSpeaker)
    running = request.getfixturevalue("javascript")
    return JavascriptSpeaker(running, client, words, crossroads.url, crossroads.key("buyer"))

"""One installation for all SDKs, and their clients pointed at it and at the provider itself."""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from support.market import ANTHROPIC, OPENAI, Market, open_market


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_market(tmp_path_factory.mktemp("sdk")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _well_behaved(market: Market) -> Iterator[None]:
    yield
    market.behave()


@pytest.fixture
def client(market: Market) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("buyer")) as made:
        yield made


@pytest.fixture
def direct(market: Market) -> Iterator[openai.OpenAI]:
    """The provider itself, without Signalbox in between."""
    base_url = f"{market.provider_url}/{OPENAI}/v1"
    with openai.OpenAI(base_url=base_url, api_key=market.credential(OPENAI)) as made:
        yield made


@pytest.fixture
def claude(market: Market) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=market.url, api_key=market.key("buyer")) as made:
        yield made


@pytest.fixture
def direct_claude(market: Market) -> Iterator[anthropic.Anthropic]:
    base_url = f"{market.provider_url}/{ANTHROPIC}"
    with anthropic.Anthropic(base_url=base_url, api_key=market.credential(ANTHROPIC)) as made:
        yield made

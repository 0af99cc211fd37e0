"""Applications that sit on LangChain change the base URL and nothing else."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field, SecretStr

from support.market import Market


class Ladder(BaseModel):
    """A bond ladder."""

    rungs: int = Field(description="How many bonds")
    issuer: str


@tool
def weather(place: str) -> str:
    """The weather somewhere."""
    return f"rain in {place}"


@pytest.fixture(params=["openai", "anthropic"])
def model(request: pytest.FixtureRequest, market: Market) -> Iterator[BaseChatModel]:
    key = SecretStr(market.key("buyer"))
    if request.param == "openai":
        yield ChatOpenAI(
            model="gpt-5-mini", base_url=market.openai_url, api_key=key, stream_usage=True
        )
    else:
        yield ChatAnthropic(
            model_name="claude-haiku-4-5",
            base_url=market.url,
            api_key=key,
            max_tokens_to_sample=900,
            timeout=30,
            stop=None,
        )


def test_a_question_is_answered_and_counted(model: BaseChatModel) -> None:
    answer = model.invoke("What is a bond ladder?")
    assert answer.text.endswith(".")
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_stream_adds_up_and_ends_with_its_usage(model: BaseChatModel) -> None:
    whole = model.invoke("What is a bond ladder?")
    total: Any = None
    for chunk in model.stream("What is a bond ladder?"):
        total = chunk if total is None else total + chunk
    assert isinstance(total, AIMessageChunk)
    assert total.text == whole.text
    assert total.usage_metadata is not None
    assert whole.usage_metadata is not None
    assert total.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"]


async def test_async_streams_work_alike(model: BaseChatModel) -> None:
    chunks = [chunk async for chunk in model.astream("What is a bond ladder?")]
    assert "".join(chunk.text for chunk in chunks).endswith(".")


def test_tools_are_called_and_answered(model: BaseChatModel) -> None:
    bound = model.bind_tools([weather])
    asking = HumanMessage("Weather in Oslo and Rome? [[tool 2]]")
    called = bound.invoke([asking])
    assert [call["name"] for call in called.tool_calls] == ["weather", "weather"]
    results = [weather.invoke(call) for call in called.tool_calls]
    answer = bound.invoke([asking, called, *results, HumanMessage("And now?")])
    assert answer.text or answer.tool_calls


def test_a_tool_can_be_forced(model: BaseChatModel) -> None:
    called = model.bind_tools([weather], tool_choice="weather").invoke("Hello")
    assert called.tool_calls[0]["name"] == "weather"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_fits_its_type(model: BaseChatModel, method: str) -> None:
    answer = model.with_structured_output(Ladder, method=method).invoke("A ladder, please")
    assert isinstance(answer, Ladder)


def test_embeddings_have_the_model_s_length(market: Market) -> None:
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=market.openai_url,
        api_key=SecretStr(market.key("buyer")),
        check_embedding_ctx_length=False,
    )
    vectors = embeddings.embed_documents(["a", "b"])
    assert [len(each) for each in vectors] == [1536, 1536]


def test_a_refusal_is_the_client_s_own_exception(market: Market) -> None:
    poor = ChatOpenAI(
        model="gpt-5-mini", base_url=market.openai_url, api_key=SecretStr(market.key("poor"))
    )
    with pytest.raises(openai.APIStatusError) as caught:
        poor.invoke("What is a bond ladder?")
    assert caught.value.code == "budget_exhausted"

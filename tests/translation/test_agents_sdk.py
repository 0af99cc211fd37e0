"""Agents of the OpenAI Agents SDK: a tool is run by the SDK, its result goes back, an object is the
end; by both of its ways of asking, on every provider whose model keeps to a form beside tools.
"""

import agents
import openai
import pytest
from pydantic import BaseModel

from support.crossroads import CHAT_ONLY, FORMATS
from support.market import Market


class Ladder(BaseModel):
    rungs: int
    issuer: str


@pytest.mark.parametrize("wire", [*(each for each in FORMATS if each != "gemini"), CHAT_ONLY])
@pytest.mark.parametrize("way", ["responses", "chat"])
async def test_an_agent_runs_its_tool_and_ends_with_an_object(
    crossroads: Market, way: str, wire: str
) -> None:
    asked: list[str] = []

    @agents.function_tool
    def weather(place: str) -> str:
        """Somewhere."""
        asked.append(place)
        return "rain"

    model = {
        "responses": agents.OpenAIResponsesModel,
        "chat": agents.OpenAIChatCompletionsModel,
    }[way]
    async with openai.AsyncOpenAI(
        base_url=crossroads.openai_url, api_key=crossroads.key("buyer"), max_retries=0
    ) as client:
        agent = agents.Agent(
            name="adviser",
            instructions="Be brief.",
            model=model(wire, client),
            tools=[weather],
            output_type=Ladder,
            model_settings=agents.ModelSettings(tool_choice="required", max_tokens=500),
        )
        config = agents.RunConfig(tracing_disabled=True)
        done = await agents.Runner.run(agent, "A ladder for a rainy day", run_config=config)
    assert len(asked) == 1
    assert isinstance(done.final_output, Ladder)

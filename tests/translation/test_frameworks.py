"""Whole conversations as frameworks hold them, on every provider: two tools called at once, their
results, a stream that goes on from there, an object. The frameworks are the real ones.
"""

from collections.abc import Iterator

import pytest

from support.crossroads import FORMATS
from support.javascript import JavascriptError, Node, node
from support.market import Market

FRAMEWORKS = (
    "vercel/chat",
    "vercel/responses",
    "vercel/messages",
    "llamaindex/chat",
    "llamaindex/messages",
)

CANNOT = {
    ("vercel/messages", "bedrock"): "tool_choice.disable_parallel_tool_use",
    ("vercel/messages", "gemini"): "tool_choice.disable_parallel_tool_use",
}
"""What a pair has no words for: for an object of a model that it does not know to give one, the
Vercel AI SDK demands one call of one tool."""


@pytest.fixture(scope="module")
def converse() -> Iterator[Node]:
    with node("converse.mjs") as running:
        yield running


@pytest.mark.parametrize("wire", FORMATS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_conversation_of_a_javascript_framework_runs_through(
    crossroads: Market, converse: Node, framework: str, wire: str
) -> None:
    asked = {"framework": framework, "url": crossroads.url, "model": wire}
    if field := CANNOT.get((framework, wire)):
        with pytest.raises(JavascriptError, match=f"cannot say {field}") as refused:
            converse.ask(key=crossroads.key("buyer"), **asked)
        assert refused.value.status == 422
        return
    heard = converse.ask(key=crossroads.key("buyer"), **asked)
    assert [set(call) for call in heard["called"]] == [{"place"}, {"place"}]
    assert heard["answered"].strip()
    assert heard["streamed"].strip()
    assert set(heard["object"]) == {"rungs", "issuer"}

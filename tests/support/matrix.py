"""The matrix of docs/translation.md: what passed between which client and which provider.

Rows are tests of tests/translation/test_every_pair.py, cells are what they found. The documented
table is compared with what was seen; `SIGNALBOX_WRITE_DOCS=1` writes it instead.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "translation.md"
BEGIN = "<!-- what the tests of every pair found; not written by hand -->"
END = "<!-- end of what they found -->"

CLIENTS = {
    "chat": "OpenAI chat completions",
    "messages": "Anthropic messages",
    "responses": "OpenAI responses",
}
PROVIDERS = {
    "openai": "OpenAI",
    "openai-chat": "other servers of OpenAI's format",
    "anthropic": "Anthropic",
    "bedrock": "Bedrock",
    "gemini": "Gemini",
}
ROWS = {
    "test_a_question_is_answered": "text, instructions",
    "test_a_stream_says_what_the_whole_answer_says": "streams",
    "test_tools_are_called_and_their_results_go_back": "tools, parallel calls, their results",
    "test_tool_calls_come_in_pieces": "tool calls in streams",
    "test_a_tool_can_be_demanded": "a tool demanded",
    "test_an_image_is_seen": "images",
    "test_an_answer_has_the_form_that_was_asked_for": "structured output",
    "test_an_output_limit_is_kept_and_told": "output limit and stop reason",
    "test_a_model_thinks_first_where_it_is_asked_to": "reasoning",
    "test_a_provider_s_error_has_the_client_s_own_shape": "errors",
}

Cell = tuple[str, str, str]
"""Row, client, provider."""

SEEN = pytest.StashKey[dict[Cell, bool]]()
"""What a session of pytest found so far."""


def note(item: pytest.Item, *, passed: bool) -> None:
    """Keep what a test of a row found; one that fails once has failed."""
    function = getattr(item, "originalname", "")
    values = getattr(getattr(item, "callspec", None), "params", {})
    if function in ROWS and "client" in values:
        found = item.config.stash.setdefault(SEEN, {})
        cell = (function, values["client"], values["wire"])
        found[cell] = passed and found.get(cell, True)


def rendered(found: Mapping[Cell, bool]) -> str:
    """The tables, one for each client."""
    parts = []
    for client, name in CLIENTS.items():
        wires = [wire for wire in PROVIDERS if any(cell[1:] == (client, wire) for cell in found)]
        lines = [
            f"**{name}** to | " + " | ".join(PROVIDERS[wire] for wire in wires),
            "--- | " + " | ".join("---" for _ in wires),
        ]
        for test, row in ROWS.items():
            cells = [_cell(found.get((test, client, wire))) for wire in wires]
            lines.append(f"{row} | " + " | ".join(cells))
        parts.append("\n".join(f"| {line} |" for line in lines))
    return "\n\n".join(parts)


def _cell(passed: bool | None) -> str:
    return "" if passed is None else "yes" if passed else "**no**"


def documented() -> str:
    """What stands in the document."""
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Put a table into the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")

"""docs/surfaces.md says of every field what the tables say."""

from pathlib import Path

import pytest

from signalbox_proxy.surfaces import decoding
from signalbox_proxy.surfaces.chat_types import CHAT
from signalbox_proxy.surfaces.count_tokens import TABLE as COUNT_TOKENS
from signalbox_proxy.surfaces.embeddings import TABLE as EMBEDDINGS
from signalbox_proxy.surfaces.fields import FieldTable
from signalbox_proxy.surfaces.images import TABLE as IMAGES
from signalbox_proxy.surfaces.messages import NEUTRAL_BETAS
from signalbox_proxy.surfaces.messages_types import CLIENT_TOOL_TOKENS, MESSAGES
from signalbox_proxy.surfaces.rerank import TABLE as RERANK
from signalbox_proxy.surfaces.responses_types import RESPONSES
from signalbox_proxy.surfaces.speech import TABLE as SPEECH
from signalbox_proxy.surfaces.transcriptions import TABLE as TRANSCRIPTIONS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "surfaces.md").read_text()


def section(path: str) -> list[str]:
    return DOCUMENT.split(f"## `POST {path}`")[1].split("\n## ")[0].splitlines()


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/messages", MESSAGES),
        ("/v1/messages/count_tokens", COUNT_TOKENS),
        ("/v1/embeddings", EMBEDDINGS),
        ("/v1/responses", RESPONSES),
        ("/v1/audio/speech", SPEECH),
        ("/v1/images/generations", IMAGES),
        ("/v1/rerank", RERANK),
        ("/v1/audio/transcriptions", TRANSCRIPTIONS),
    ],
)
def test_every_field_stands_in_the_documentation_as_it_acts(path: str, table: FieldTable) -> None:
    rows = [line for line in section(path) if line.startswith("| `") and line.count("|") == 4]
    expected = {
        f"| `{name}` | {field.use} | {field.note} |" for name, field in table.fields.items()
    }
    assert set(rows) == expected


def test_tools_betas_and_limits_stand_in_the_documentation() -> None:
    for kind, tokens in CLIENT_TOOL_TOKENS.items():
        assert f"| `{kind}` | {tokens:,} |" in DOCUMENT
    for beta in NEUTRAL_BETAS:
        assert f"`{beta}`" in DOCUMENT
    for limit in ("MAX_KEYS", "MAX_CONTAINERS", "MAX_STRINGS", "MAX_VALUES"):
        assert f"{getattr(decoding, limit):,}" in DOCUMENT

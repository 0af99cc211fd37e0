"""`signalbox explain` of every surface: what would be counted, what that costs, who would serve."""

import io
import json
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from support.company import PLATFORM, Company, manifest

Command = Callable[..., Result]

PER_IMAGE = [
    {"size": "1024x1024", "quality": "standard", "price": "0.040"},
    {"size": "1024x1024", "quality": "hd", "price": "0.080"},
]


def model(
    name: str, capability: str, price: Mapping[str, Any], lane: Mapping[str, Any], **limits: int
) -> dict[str, Any]:
    spec = {
        "capabilities": [capability],
        "limits": {"contextTokens": 16_000, **limits},
        "price": dict(price),
        "lanes": [LANE | dict(lane)],
    }
    return manifest("Model", PLATFORM, name, spec)


LANE: dict[str, Any] = {
    "name": "us",
    "class": "public",
    "provider": "openai",
    "wireFormat": "openai",
    "upstreamModel": "any",
    "endpoint": "https://api.openai.com/v1",
    "auth": {"type": "apiKey", "key": "openai"},
    "region": "us-1",
    "jurisdiction": "US",
    "maxSensitivity": "regulated",
}
CLAUDE = {
    "provider": "anthropic",
    "wireFormat": "anthropic",
    "endpoint": "https://api.anthropic.com",
}
CHAT = {"input": "1", "output": "5"}
MODELS = [
    model("painter", "imageGeneration", {"perImage": PER_IMAGE}, {}),
    model("speaker", "speech", {"perMillionCharacters": "15"}, {}),
    model("listener", "transcription", {"perMinute": "0.006"}, {}),
    model(
        "hearer",
        "transcription",
        {"input": "2.5", "audioInput": "6", "output": "10"},
        {},
        maxOutputTokens=2000,
    ),
    model("judge", "rerank", {"perThousandSearches": "2"}, {}),
    model("claude", "chat", CHAT, CLAUDE, maxOutputTokens=4000, defaultOutputTokens=100),
    model("gpt", "chat", CHAT, {}, maxOutputTokens=4000, defaultOutputTokens=100),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    company = Company(tmp_path / "manifests")
    company.write(
        "all",
        *MODELS,
        company.domain("shop", PLATFORM, allowedNamespaces=["shop"]),
        company.agent("buyer", "shop", f"{PLATFORM}/shop"),
        company.budget("all", PLATFORM, {"usd": "10"}, scope={"all": True}),
    )
    return company.folder


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Ninety-one seconds of uncompressed WAV."""
    path, told = tmp_path / "call.wav", io.BytesIO()
    with wave.open(told, "wb") as file:
        file.setparams((1, 1, 100, 0, "NONE", ""))
        file.writeframes(bytes(100 * 91))
    path.write_bytes(told.getvalue())
    return path


def explained(command: Command, folder: Path, *asked: str) -> dict[str, Any]:
    result = command("explain", str(folder), "--agent", "shop/buyer", *asked, "-o", "json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("asked", "bound_usd", "units"),
    [
        (
            ["images", "--model", "painter", "--prompt", "Fog", "--images", "3"],
            "0.12",
            ("images", 3, "Images", "0.04"),
        ),
        (
            ["images", "--model", "painter", "--prompt", "Fog", "--quality", "hd"],
            "0.08",
            ("images", 1, "Images", "0.08"),
        ),
        (
            ["speech", "--model", "speaker", "--prompt", "naïve 😀"],
            "0.000105",
            ("characters", 7, "1000000 Characters", "15.00"),
        ),
        (
            [
                "rerank",
                "--model",
                "judge",
                "--prompt",
                "Which?",
                "--document",
                "a",
                "--document",
                "b",
            ],
            "0.002",
            ("searches", 1, "1000 Searches", "2.00"),
        ),
    ],
)
def test_units_are_counted_and_priced_as_the_proxy_would(
    command: Command,
    folder: Path,
    asked: list[str],
    bound_usd: str,
    units: tuple[str, int, str, str],
) -> None:
    told = explained(command, folder, "--surface", *asked)
    (won,) = [each for each in told["candidates"] if "rank" in each]
    assert won["boundUsd"] == bound_usd
    found = won["boundUnits"]
    assert (
        found["meter"],
        found["quantity"],
        found["priceUnit"],
        found["usdPerPriceUnit"],
    ) == units
    assert won["boundTokens"] == {"input": 0, "output": 0}
    assert told["budgets"][0]["needs"] == bound_usd


def test_sound_is_counted_by_its_seconds_or_by_the_tokens_of_the_model(
    command: Command, folder: Path, sound: Path
) -> None:
    asked = ("--surface", "transcriptions", "--audio", str(sound))
    (won,) = [
        each
        for each in explained(command, folder, *asked, "--model", "listener")["candidates"]
        if "rank" in each
    ]
    assert won["boundUnits"] == {
        "isExact": True,
        "meter": "audio_seconds",
        "quantity": 91,
        "priceUnit": "Minutes",
        "usdPerPriceUnit": "0.006",
    }
    assert won["boundUsd"] == "0.0091"
    (heard,) = [
        each
        for each in explained(command, folder, *asked, "--model", "hearer")["candidates"]
        if "rank" in each
    ]
    assert (heard["boundUnits"], heard["boundAudio"]["quantity"]) == (None, 16_000)
    assert heard["boundTokens"] == {"input": 16_000, "output": 2000}


def test_a_count_of_tokens_is_free_wherever_it_is_made(command: Command, folder: Path) -> None:
    for name, result in (
        ("claude", "sent to claude/us (anthropic, us-1)"),
        ("gpt", "counted by the proxy with the estimate tokenizer of gpt"),
    ):
        arguments = ("--surface", "count_tokens", "--model", name, "--prompt", "Hi")
        told = command("explain", str(folder), "--agent", "shop/buyer", *arguments)
        assert told.exit_code == 0, told.output
        assert result in told.stdout
        assert " free " in told.stdout
        (won,) = [
            each for each in explained(command, folder, *arguments)["candidates"] if "rank" in each
        ]
        assert (won["isFree"], won["boundUsd"]) == (True, "0.00")


def test_people_read_what_is_counted(command: Command, folder: Path) -> None:
    arguments = ("--surface", "images", "--model", "painter", "--prompt", "Fog")
    told = command("explain", str(folder), "--agent", "shop/buyer", *arguments).stdout
    assert "COUNTS AT MOST" in told
    assert "$0.040000   1 image" in told
    assert "Caching" not in told, "images have no prompt that is kept"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--surface", "chat", "--size", "1024x1024"], "--size says nothing of chat"),
        (["--surface", "rerank"], "say --document for each text that is ranked"),
        (["--surface", "transcriptions"], "say --model and --audio with a file of sound"),
        (["--surface", "speech", "--audio", __file__], "--audio says nothing of speech"),
    ],
)
def test_what_says_nothing_of_a_surface_is_refused(
    command: Command, folder: Path, arguments: list[str], message: str
) -> None:
    asked = ["--agent", "shop/buyer", "--model", "gpt", "--prompt", "Hi", *arguments]
    told = command("explain", str(folder), *asked)
    assert told.exit_code == 2
    assert message in told.stderr

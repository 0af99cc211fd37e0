"""Public prices become Models, exactly, with their source; what differs is told."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from signalbox_api.amounts import nano_usd
from signalbox_api.load import read_text
from signalbox_cli.price_models import text
from support.calm import CALM
from support.running import QUICKSTART

Command = Callable[..., Result]

SONNET = """{
  "litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000,
  "max_output_tokens": 64000, "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
  "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06,
  "cache_creation_input_token_cost_above_1hr": 6e-06,
  "input_cost_per_token_above_200k_tokens": 6e-06,
  "output_cost_per_token_above_200k_tokens": 2.25e-05,
  "search_context_cost_per_query": {"search_context_size_low": 0.01},
  "supports_function_calling": true, "supports_vision": true, "supports_prompt_caching": true,
  "source": "https://www.anthropic.com/pricing"
}"""
MINI = """{
  "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000,
  "max_output_tokens": 128000, "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06,
  "cache_read_input_token_cost": 2.5e-08, "input_cost_per_token_flex": 1.25e-07,
  "output_cost_per_token_flex": 1e-06, "cache_read_input_token_cost_flex": 1.25e-08,
  "input_cost_per_token_priority": 4.5e-07, "output_cost_per_token_priority": 3.6e-06,
  "input_cost_per_token_batches": 1.25e-07, "output_cost_per_token_batches": 1e-06
}"""
LITELLM = (
    f'{{"sample_spec": {{}}, "claude-sonnet-4-5": {SONNET}, "gpt-5-mini": {MINI},'
    ' "azure/gpt-5-mini": {"litellm_provider": "azure", "input_cost_per_token": 9e-07}}'
)
GENAI = json.dumps(
    [
        {
            "id": "anthropic",
            "name": "Anthropic",
            "pricing_urls": ["https://www.anthropic.com/pricing#api"],
            "models": [
                {
                    "id": "claude-sonnet-4-5",
                    "match": {
                        "or": [
                            {"starts_with": "claude-sonnet-4-5"},
                            {"equals": "claude-4-5-sonnet"},
                        ]
                    },
                    "prices_checked": "2026-10-01",
                    "prices": [
                        {
                            "prices": {
                                "input_mtok": {"base": 3, "tiers": [{"start": 200000, "price": 6}]},
                                "output_mtok": 15,
                                "cache_read_mtok": 0.3,
                                "input_audio_mtok": 7,
                            }
                        },
                        {
                            "constraint": {"start_date": "2026-11-01"},
                            "prices": {"input_mtok": 2.5, "output_mtok": 12.5},
                        },
                    ],
                }
            ],
        }
    ]
)
PLACE = ("--region", "us-east", "--jurisdiction", "US", "--max-sensitivity", "internal")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "model_prices.json"
    path.write_text(LITELLM)
    return path


def imported(command: Command, *arguments: str) -> list[dict[str, Any]]:
    result = command("prices", "import", *arguments)
    assert result.exit_code == 0, result.stderr
    loaded = read_text(result.stdout, "printed.yaml")
    assert not loaded.problems
    return list(yaml.safe_load_all(result.stdout))


def test_a_new_model_is_whole_and_says_where_its_price_comes_from(
    command: Command, data: Path
) -> None:
    arguments = (str(data), "--new", "anthropic/claude-sonnet-4-5", *PLACE, "--date", "2026-11-20")
    (model,) = imported(command, *arguments)
    assert model["spec"]["price"] == {
        "input": "3",
        "cachedInput": "0.3",
        "cacheWrite": {"5m": "3.75", "1h": "6"},
        "output": "15",
        "longContext": {"aboveTokens": 200000, "input": "6", "output": "22.5"},
    }
    noted = model["metadata"]["annotations"]
    assert noted["signalbox.dev/price-date"] == "2026-11-20"
    source = noted["signalbox.dev/price-source"]
    assert source.startswith("model_prices.json sha256:")
    assert source.endswith("anthropic/claude-sonnet-4-5, https://www.anthropic.com/pricing")
    (lane,) = model["spec"]["lanes"]
    assert (lane["endpoint"], lane["jurisdiction"]) == ("https://api.anthropic.com", "US")


def test_what_has_no_place_in_a_model_is_said(command: Command, data: Path) -> None:
    result = command("prices", "import", str(data), "--new", "anthropic/claude-sonnet-4-5", *PLACE)
    assert "search_context_cost_per_query has no place in a Model" in result.stderr


def test_flex_priority_and_batch_are_lanes_of_their_own(command: Command, data: Path) -> None:
    (model,) = imported(command, str(data), "--new", "openai/gpt-5-mini", *PLACE)
    lanes = {lane["name"]: lane for lane in model["spec"]["lanes"]}
    assert lanes["flex"]["price"] == {"input": "0.125", "cachedInput": "0.0125", "output": "1"}
    assert (lanes["flex"]["class"], lanes["flex"]["serviceTier"]) == ("flex", "flex")
    assert lanes["priority"]["serviceTier"] == "priority"
    assert lanes["priority"]["price"]["output"] == "3.6"
    assert lanes["batch"]["class"] == "batch"


UNITS = """{
 "tts-1": {"litellm_provider": "openai", "mode": "audio_speech", "max_input_tokens": 4096,
  "input_cost_per_character": 1.5e-05},
 "whisper-1": {"litellm_provider": "openai", "mode": "audio_transcription", "max_input_tokens": 448,
  "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
 "gpt-4o-transcribe": {"litellm_provider": "openai", "mode": "audio_transcription",
  "max_input_tokens": 16000, "max_output_tokens": 2000, "input_cost_per_audio_token": 6e-06,
  "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
 "rerank-v3.5": {"litellm_provider": "cohere", "mode": "rerank", "max_input_tokens": 4096,
  "input_cost_per_query": 0.002, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
}"""


@pytest.mark.parametrize(
    ("name", "capability", "price"),
    [
        ("openai/tts-1", "speech", {"perMillionCharacters": "15"}),
        ("openai/whisper-1", "transcription", {"perMinute": "0.006"}),
        (
            "openai/gpt-4o-transcribe",
            "transcription",
            {"input": "2.5", "output": "10", "audioInput": "6"},
        ),
        ("cohere/rerank-v3.5", "rerank", {"perThousandSearches": "2"}),
    ],
)
def test_prices_by_the_unit_are_imported(
    command: Command, tmp_path: Path, name: str, capability: str, price: dict[str, str]
) -> None:
    file = tmp_path / "units.json"
    file.write_text(UNITS)
    where = ["--endpoint", "https://api.example.com/v1", "--wire-format", "openai"]
    (made,) = imported(command, str(file), "--new", name, *where, *PLACE)
    assert (made["spec"]["capabilities"], made["spec"]["price"]) == ([capability], price)


def test_prices_of_images_that_no_data_tells_are_left_alone(
    command: Command, tmp_path: Path
) -> None:
    file, folder = tmp_path / "units.json", tmp_path / "models"
    file.write_text(UNITS)
    folder.mkdir()
    spec = _model("tts-1").replace("price: {", "price: {perImage: [{price: '0.04'}], ")
    (folder / "model.yaml").write_text(spec.replace("provider: anthropic", "provider: openai"))
    told = command("prices", "diff", str(file), str(folder))
    assert told.exit_code == 1
    assert "perMillionCharacters: no price, in the data 15" in told.stdout
    assert "perImage" not in told.stdout


IMAGES = """{
 "hd/1024-x-1024/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 7.629e-08, "output_cost_per_pixel": 0.0},
 "hd/1024-x-1792/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 6.539e-08, "output_cost_per_pixel": 0.0},
 "standard/1024-x-1024/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 3.81469e-08, "output_cost_per_pixel": 0.0, "source": "https://openai"},
 "standard/1024-x-1792/dall-e-3": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 4.359e-08, "output_cost_per_pixel": 0.0},
 "dall-e-3": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_image": 0.04},
 "1024-x-1024/dall-e-2": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 1.9e-08, "output_cost_per_pixel": 0.0},
 "512-x-512/dall-e-2": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 6.86e-08, "output_cost_per_pixel": 0.0},
 "256-x-256/dall-e-2": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_pixel": 2.4414e-07, "output_cost_per_pixel": 0.0},
 "azure/standard/1024-x-1024/dall-e-3": {"litellm_provider": "azure", "mode": "image_generation",
  "input_cost_per_image": 0.05, "output_cost_per_image": 0.05},
 "vertex_ai/imagen-4": {"litellm_provider": "vertex_ai", "mode": "image_generation",
  "output_cost_per_image": 0.04},
 "512-x-512/50-steps/nova": {"litellm_provider": "openai", "mode": "image_generation",
  "output_cost_per_image": 0.01},
 "gpt-image-1": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_token": 5e-06, "cache_read_input_token_cost": 1.25e-06,
  "input_cost_per_image_token": 1e-05, "output_cost_per_image_token": 4e-05,
  "output_cost_per_token": 1e-05},
 "low/1024-x-1024/gpt-image-1": {"litellm_provider": "openai", "mode": "image_generation",
  "input_cost_per_image": 0.011}
}"""


def sized(size: str, price: str, quality: str = "") -> dict[str, str]:
    return {"size": size} | ({"quality": quality} if quality else {}) | {"price": price}


@pytest.mark.parametrize(
    ("provider", "name", "price"),
    [
        (
            "openai",
            "dall-e-3",
            {
                "perImage": [
                    sized("1024x1024", "0.04", "standard"),
                    sized("1024x1024", "0.08", "hd"),
                    sized("1024x1792", "0.08", "standard"),
                    sized("1024x1792", "0.12", "hd"),
                ]
            },
        ),
        (
            "openai",
            "dall-e-2",
            {
                "perImage": [
                    sized("256x256", "0.016"),
                    sized("512x512", "0.018"),
                    sized("1024x1024", "0.02"),
                ]
            },
        ),
        ("azure", "dall-e-3", {"perImage": [sized("1024x1024", "0.05", "standard")]}),
        ("vertex", "imagen-4", {"perImage": [{"price": "0.04"}]}),
        ("openai", "gpt-image-1", {"input": "5", "cachedInput": "1.25", "output": "40"}),
    ],
)
def test_prices_of_images_are_those_that_providers_publish(
    command: Command, tmp_path: Path, provider: str, name: str, price: dict[str, Any]
) -> None:
    file, folder = tmp_path / "images.json", tmp_path / "models"
    file.write_text(IMAGES)
    folder.mkdir()
    spec = _model(name).replace("provider: anthropic", f"provider: {provider}")
    spec = spec.replace("[chat]", "[imageGeneration]")
    (folder / "model.yaml").write_text(spec)
    (made,) = imported(command, str(file), "--onto", str(folder))
    assert made["spec"]["price"] == price
    (folder / "model.yaml").write_text(yaml.safe_dump(made))
    assert command("prices", "diff", str(file), str(folder)).stdout == "0 differences\n"


def test_images_that_differ_are_told_by_size_and_quality(command: Command, tmp_path: Path) -> None:
    file, folder = tmp_path / "images.json", tmp_path / "models"
    file.write_text(IMAGES)
    folder.mkdir()
    rows = "perImage: [{size: 1024x1024, quality: hd, price: '0.07'}, {price: '0.2'}]"
    spec = _model("dall-e-3").replace("provider: anthropic", "provider: openai")
    spec = spec.replace("price: {", "price: {perImage: [{size: 256x256, price: '9'}], ", 1)
    spec = spec.replace("provider: openai", f"provider: openai\n    price: {{{rows}}}")
    (folder / "model.yaml").write_text(spec)
    told = command("prices", "diff", str(file), str(folder)).stdout
    assert "perImage.1024x1024.hd: 0.07, in the data 0.08\n" in told
    assert "perImage.1024x1792.standard: no price, in the data 0.08\n" in told
    assert "perImage.any.any: 0.2, in the data no price\n" in told
    assert "256x256" not in told, "the lane's are all of its prices of images"


def test_what_an_image_model_bills_besides_is_said(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "images.json"
    file.write_text(
        IMAGES.replace(
            '"input_cost_per_token"', '"max_input_tokens": 65536, "input_cost_per_token"'
        )
    )
    told = command("prices", "import", str(file), "--new", "openai/gpt-image-1", *PLACE)
    assert told.exit_code == 0, told.stderr
    assert "input_cost_per_image_token has no place in a Model" in told.stderr
    assert "output_cost_per_token has no place in a Model" in told.stderr


def test_a_place_is_never_guessed(command: Command, data: Path) -> None:
    result = command("prices", "import", str(data), "--new", "openai/gpt-5-mini")
    assert result.exit_code == 2
    assert "--region is needed" in result.stderr


@pytest.mark.parametrize(
    ("day", "price"),
    [("2026-10-31", {"input": "3", "cachedInput": "0.3", "output": "15"}), ("2026-11-01", None)],
)
def test_prices_are_those_of_the_day(
    command: Command, tmp_path: Path, day: str, price: dict[str, str] | None
) -> None:
    path = tmp_path / "data.json"
    path.write_text(GENAI)
    (tmp_path / "m").mkdir()
    manifest = tmp_path / "m" / "model.yaml"
    manifest.write_text(_model("claude-sonnet-4-5-20250929"))
    (model,) = imported(command, str(path), "--onto", str(manifest), "--date", day)
    found = model["spec"]["price"]
    if price is None:
        assert found == {"input": "2.5", "output": "12.5"}
    else:
        assert found == price | {"longContext": {"aboveTokens": 200000, "input": "6"}}
    assert model["metadata"]["annotations"]["signalbox.dev/price-date"] == "2026-10-01"


TIERS = """{"gpt-5.4": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1050000,
  "max_output_tokens": 128000, "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1.5e-05,
  "input_cost_per_token_above_272k_tokens": 5e-06,
  "output_cost_per_token_above_272k_tokens": 2.25e-05,
  "input_cost_per_token_priority": 5e-06, "output_cost_per_token_priority": 3e-05,
  "input_cost_per_token_above_272k_tokens_priority": 1e-05,
  "output_cost_per_token_above_272k_tokens_priority": 4.5e-05}}"""


def test_a_service_tier_has_a_long_context_of_its_own(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(TIERS)
    (model,) = imported(command, str(file), "--new", "openai/gpt-5.4", *PLACE)
    long = {"aboveTokens": 272000, "input": "10", "output": "45"}
    priority = {"input": "5", "output": "30", "longContext": long}
    assert model["spec"]["lanes"][1]["price"] == priority
    (tmp_path / "m").mkdir()
    manifest = tmp_path / "m" / "model.yaml"
    before = model["spec"]["price"] | {"perThousandSearches": "7", "input": "9"}
    stale = model["spec"]["lanes"][1] | {"price": {"input": "4", "multiplier": "0.9"}}
    spec = model["spec"] | {"price": before, "lanes": [model["spec"]["lanes"][0], stale]}
    manifest.write_text(yaml.safe_dump(model | {"spec": spec}))
    (again,) = imported(command, str(file), "--onto", str(manifest))
    assert again["spec"]["price"] == model["spec"]["price"] | {"perThousandSearches": "7"}
    assert again["spec"]["lanes"][1]["price"] == priority | {"multiplier": "0.9"}


def test_onto_changes_the_price_and_nothing_else(
    command: Command, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    manifest = tmp_path / "m" / "model.yaml"
    manifest.write_text(_model("claude-sonnet-4-5"))
    (model,) = imported(command, str(data), "--onto", str(manifest))
    before = yaml.safe_load(manifest.read_text())
    assert model["spec"]["price"].pop("longContext")
    assert model["spec"].pop("price")["input"] == "3"
    assert before["spec"].pop("price") == {"input": "4", "output": "15"}
    assert model["spec"] == before["spec"]


def test_what_differs_is_told_meter_by_meter(command: Command, data: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "model.yaml"
    manifest.write_text(_model("claude-sonnet-4-5"))
    result = command("prices", "diff", str(data), str(manifest))
    assert result.exit_code == 1
    assert "platform/sonnet public input: 4, in the data 3\n" in result.stdout
    assert "platform/sonnet public cachedInput: no price, in the data 0.3\n" in result.stdout
    assert "platform/sonnet: its price has no source\n" in result.stdout
    assert "public output" not in result.stdout


def test_what_was_imported_does_not_differ(command: Command, data: Path, tmp_path: Path) -> None:
    wanted = ("--new", "anthropic/claude-sonnet-4-5", "--new", "openai/gpt-5-mini")
    result = command("prices", "import", str(data), *wanted, *PLACE)
    manifest = tmp_path / "models.yaml"
    manifest.write_text(result.stdout)
    told = command("prices", "diff", str(data), str(manifest))
    assert (told.exit_code, told.stdout) == (0, "0 differences\n")
    manifest.write_text(result.stdout.replace("'3.6'", "'3.7'"))
    told = command("prices", "diff", str(data), str(manifest))
    assert "signalbox-system/gpt-5-mini priority output: 3.7, in the data 3.6" in told.stdout


def test_models_that_the_data_does_not_know_are_named(command: Command, data: Path) -> None:
    result = command("prices", "diff", str(data), str(QUICKSTART))
    assert "gpt-5.4-mini: not in the data" in result.stdout


def test_a_price_that_no_model_can_state_stands_in_nobody_else_s_way(
    command: Command, tmp_path: Path
) -> None:
    document = json.loads(GENAI)
    night = {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}}
    document[0]["models"].append(
        {
            "id": "claude-night",
            "match": {"equals": "claude-night"},
            "prices": [{"prices": {"input_mtok": 1}}, night | {"prices": {"input_mtok": 0.5}}],
        }
    )
    data, manifest = tmp_path / "data.json", tmp_path / "models.yaml"
    data.write_text(json.dumps(document))
    manifest.write_text(_model("claude-night") + "---" + _model("claude-sonnet-4-5", "other"))
    told = command("prices", "diff", str(data), str(manifest), "--date", "2026-10-01").stdout
    assert "platform/sonnet: not compared: its price depends on the time of day\n" in told
    assert "platform/other public input: 4, in the data 3\n" in told


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "neither of the formats"),
        ("{}", "neither of the formats"),
        ('{"a": {"litellm_provider": "x", "input_cost_per_token": NaN}}', "NaN is no number"),
        ('{"a": {"litellm_provider": "x", "input_cost_per_token": -1}}', "is no price"),
        ('{"a": {"litellm_provider": "x", "input_cost_per_token": "1"}}', "is no number"),
    ],
)
def test_a_file_that_cannot_be_believed_is_refused(
    command: Command, tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    result = command("prices", "diff", str(path), str(QUICKSTART))
    assert result.exit_code == 1
    assert result.stderr.startswith("signalbox: prices.json: ")
    assert complaint in result.stderr


@CALM
@given(st.decimals("0.000000001", 999_999, allow_nan=False, places=12))
def test_a_price_is_never_rounded_down(price: Decimal) -> None:
    nano = nano_usd(text(price))
    assert 0 <= Decimal(nano) - price * 10**9 < 1


def _model(upstream: str, name: str = "sonnet") -> str:
    return f"""
apiVersion: signalbox.dev/v1alpha1
kind: Model
metadata: {{name: {name}, namespace: platform}}
spec:
  capabilities: [chat]
  limits: {{contextTokens: 200000, maxOutputTokens: 64000}}
  price: {{input: "4", output: "15"}}
  lanes:
  - name: public
    class: public
    provider: anthropic
    wireFormat: anthropic
    upstreamModel: {upstream}
    endpoint: https://api.anthropic.com
    auth: {{type: apiKey, key: anthropic}}
    region: us-east
    jurisdiction: US
    maxSensitivity: internal
"""

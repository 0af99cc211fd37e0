"""Which changes of a Model let a lane out of quarantine."""

from typing import Any

import msgspec
import pytest

from signalbox_proxy.quarantine import Quarantine
from signalbox_proxy.runtime import Runtime
from signalbox_snapshot.snapshot import Model
from support.snapshots import PLATFORM, mini, price, snapshot

US = f"{PLATFORM}/mini/us"


def runtime(model: Model) -> Runtime:
    return Runtime.build(snapshot(models=[model]), version="v", generation=1)


def held(quarantine: Quarantine, model: Model) -> list[str]:
    return quarantine.among(runtime(model).models.values())


@pytest.fixture
def quarantine() -> Quarantine:
    found = Quarantine()
    found.add(runtime(mini()).models[f"{PLATFORM}/mini"].lanes[0])
    assert held(found, mini()) == [US]
    return found


def us(**changes: Any) -> Model:
    """The model whose lane `us` is another."""
    first, second = mini().lanes
    return msgspec.structs.replace(
        mini(), lanes=[msgspec.structs.replace(first, **changes), second]
    )


dearer = price("2", "8")


@pytest.mark.parametrize(
    "corrected",
    [
        us(price=dearer, list_price=dearer),
        us(upstream_model="gpt-5-mini-2026"),
        us(provider="azure"),
        us(endpoint="https://elsewhere.example"),
        us(service_tier="priority"),
        us(output_limit_field="max_tokens"),
        mini(tokenizer="estimate"),
        mini(limits={"per_message": 40}),
        mini(limits={"max_output": 16_000}),
    ],
    ids=range(9),
)
def test_what_its_bound_is_made_of(quarantine: Quarantine, corrected: Model) -> None:
    assert held(quarantine, corrected) == []


@pytest.mark.parametrize(
    "other",
    [
        mini(names=["mini", "another-alias"]),
        mini(display_name="Mini"),
        mini(capabilities=["chat"]),
        us(region="us-west-2"),
        us(max_sensitivity=1),
        us(request_timeout_ms=1000),
    ],
    ids=range(6),
)
def test_and_nothing_else(quarantine: Quarantine, other: Model) -> None:
    assert held(quarantine, other) == [US]


def test_a_correction_that_is_taken_back_does_not_help(quarantine: Quarantine) -> None:
    assert held(quarantine, mini(limits={"per_message": 40})) == []
    assert held(quarantine, mini()) == [US]

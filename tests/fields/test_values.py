"""Every value of the closed lists acts, too: capability, class, objective, window, account."""

from typing import Any

import pytest

from fields.cases import base, lane, put
from fields.cases_budgets import NAME, having
from fields.cases_models import IMAGE, MODEL, POLICY
from fields.cases_owners import PLAIN, said, tool
from fields.chain import PLATFORM, Ask, Company
from signalbox_api.budget import Every, Per
from signalbox_api.lane import LaneClass
from signalbox_api.model import Capability, Tokenizer
from signalbox_api.route_policy import Objective
from signalbox_api.sensitivity import Sensitivity

SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
STRUCTURED = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
CACHED = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}
PAPER = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}


def said_to(model: str, *content: dict[str, Any]) -> Ask:
    return Ask(
        model=model, surface="messages", body={"messages": [{"role": "user", "content": content}]}
    )


NEEDING = {
    "chat": PLAIN,
    "tools": Ask(body=tool("quote")),
    "structuredOutput": Ask(body={"response_format": STRUCTURED}),
    "reasoning": Ask(body={"reasoning_effort": "low"}),
    "images": said_to("claude", {"type": "image", "source": IMAGE}),
    "documents": said_to("claude", PAPER),
    "promptCaching": said_to("claude", CACHED),
    "embeddings": Ask(model="embed", surface="embeddings"),
    "imageGeneration": Ask(model="studio", surface="images"),
    "rerank": Ask(model="studio", surface="rerank"),
    "speech": Ask(model="studio", surface="speech"),
    "transcription": Ask(model="studio", surface="transcriptions"),
}


def company(**changes: Any) -> Company:
    """The base company; `changes` are its specs by place, with a price for cache writes."""
    specs = base()
    put(specs, f"Model/{PLATFORM}/claude: price.cacheWrite.5m", "3.75")
    for place, value in changes.items():
        put(specs, place, value)
    return Company.of(specs)


@pytest.mark.parametrize("capability", [item.value for item in Capability])
def test_a_model_without_the_capability_is_not_asked(capability: str) -> None:
    ask = NEEDING[capability]
    key = f"Model/{PLATFORM}/{ask.model}"
    has = base()[key]["capabilities"]
    assert capability in has
    less = [name for name in has if name != capability] or ["chat"]
    missing = {f"{key}: capabilities": less}
    if capability == "embeddings":
        missing |= {f"{key}: limits.maxOutputTokens": 10, f"{key}: price.output": "1"}
    assert isinstance(company().lanes(ask), list)
    assert company(**missing).lanes(ask) == "no_capable_lane"


@pytest.mark.parametrize("lane_class", [item.value for item in LaneClass])
def test_a_policy_can_ask_for_every_class_of_lane(lane_class: str) -> None:
    lanes = [lane(item.value, **{"class": item.value}) for item in LaneClass]
    it = company(**{f"{MODEL}: lanes": lanes, f"{POLICY}: constraints.laneClasses": [lane_class]})
    alone = [f"mini/{lane_class}"]
    assert it.lanes(PLAIN) == ("no_capable_lane" if lane_class == "batch" else alone)


@pytest.mark.parametrize(
    ("objective", "first"), [("cheapest", "mini/us"), ("fastest", "mini/de"), ("best", "pro/fr")]
)
def test_every_objective_prefers_another_lane(objective: str, first: str) -> None:
    it = company(
        **{
            POLICY: {"candidates": ["mini", "pro"], "objective": objective},
            f"{MODEL}: lanes.1.typicalFirstChunkMs": 100,
        }
    )
    assert it.lanes(PLAIN)[0] == first


def test_every_objective_is_tried() -> None:
    assert [item.value for item in Objective] == ["cheapest", "fastest", "best"]


WINDOWS = {
    "minute": "05-01 12:00 - 05-01 12:01",
    "hour": "05-01 12:00 - 05-01 13:00",
    "day": "05-01 00:00 - 05-02 00:00",
    "week": "04-27 00:00 - 05-04 00:00",
    "month": "05-01 00:00 - 06-01 00:00",
    "quarter": "04-01 00:00 - 07-01 00:00",
    "lifetime": "for ever",
}


@pytest.mark.parametrize("every", [item.value for item in Every])
def test_every_window_is_one_of_the_calendar(every: str) -> None:
    assert company(**having(window={"every": every})).window(NAME) == WINDOWS[every]


SUBJECTS = {"user": "ann", "session": "s-1", "agent": "retail/search"}


@pytest.mark.parametrize("per", [item.value for item in Per])
def test_every_kind_of_account_has_its_subject(per: str) -> None:
    it = company(**having(per=per))
    assert it.accounts(said(user="ann", session="s-1"))[0] == f"{NAME} {SUBJECTS[per]}"


@pytest.mark.parametrize("most", [item.value for item in Sensitivity])
def test_every_class_is_a_bound_for_those_above_it(most: str) -> None:
    order = [item.value for item in Sensitivity]
    it = company(
        **{
            "Domain/retail/retail: defaultSensitivity": "public",
            "Agent/retail/search: maxSensitivity": most,
        }
    )
    passed = [name for name in order if isinstance(it.lanes(said(sensitivity=name)), list)]
    assert passed == order[: order.index(most) + 1]


def test_every_tokenizer_counts_another_number() -> None:
    text = {"messages": [{"role": "user", "content": "Привет, мир, как дела?"}]}
    counted = []
    for kind in Tokenizer:
        it = company(**{f"{MODEL}: tokenizer": kind.value})
        counted.append(it.bound(Ask(body=text)).expected_nano)
    assert len(set(counted)) == len(Tokenizer)

"""Models: where they are accepted, whose a name is, lanes, prices to the nano-dollar."""

from typing import Any

import pytest

from signalbox_api.conditions import Reason
from signalbox_snapshot import snapshot as wire
from support.written import about, compiled, fleet, lane, model, only


def built(**spec: Any) -> wire.Model:
    found = compiled(fleet(model("mini", **spec))).snapshot
    return found.models[0]


def test_models_are_accepted_in_the_platform_namespace_only() -> None:
    found = compiled(fleet(model("own", "retail")))
    assert [item.name for item in found.snapshot.models] == ["mini"]
    assert only(found, "Model", "own").reason is Reason.NAMESPACE_NOT_PERMITTED


def test_a_model_answers_to_its_name_and_aliases() -> None:
    assert built(aliases=["mini-latest", "a/b:c"]).names == ["a/b:c", "mini", "mini-latest"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_newcomers_with_one_alias_the_later_by_name_is_refused(order: int) -> None:
    objects = fleet(model("alpha", aliases=["fast"]), model("beta", aliases=["quick", "fast"]))
    found = compiled(objects[::order])
    assert [item.name for item in found.snapshot.models] == ["alpha", "mini"]
    finding = only(found, "Model", "beta")
    assert (finding.reason, finding.field) == (Reason.DUPLICATE, "spec.aliases[1]")
    assert "signalbox-system/alpha" in finding.message


def test_a_name_cannot_be_taken_from_the_model_that_has_it_by_an_earlier_newcomer() -> None:
    before = compiled(fleet(model("beta", aliases=["fast"])))
    found = compiled(
        fleet(model("beta", aliases=["fast"]), model("alpha", aliases=["fast"])), before
    )
    assert [item.name for item in found.snapshot.models] == ["beta", "mini"]
    assert only(found, "Model", "alpha").reason is Reason.DUPLICATE


def test_a_name_cannot_be_taken_by_a_model_that_is_changed_later() -> None:
    before = compiled(fleet(model("alpha"), model("beta", aliases=["fast"])))
    found = compiled(
        fleet(model("alpha", aliases=["fast"]), model("beta", aliases=["fast"])), before
    )
    names = {item.name: item.names for item in found.snapshot.models}
    assert names == {"alpha": ["alpha"], "beta": ["beta", "fast"], "mini": ["mini"]}


def test_limits_are_carried_and_absent_ones_filled_in() -> None:
    limits = built(
        limits={
            "contextTokens": 8000,
            "maxOutputTokens": 500,
            "tokensPerImage": 7,
            "overhead": {"perRequest": 1, "perMessage": 2, "perTool": 3},
        }
    ).limits
    assert limits == wire.TokenLimits(
        context=8000,
        max_output=500,
        default_output=500,
        per_image=7,
        per_request=1,
        per_message=2,
        per_tool=3,
    )
    assert built().limits.default_output == 1024


def test_a_model_that_writes_nothing_has_no_output() -> None:
    limits = {"contextTokens": 8191, "defaultOutputTokens": 5}
    found = built(capabilities=["embeddings"], limits=limits, price={"input": "0.02"})
    assert (found.limits.max_output, found.limits.default_output) == (0, 0)
    assert found.lanes[0].price is not None
    assert found.lanes[0].price.standard.output == 0


def test_quality_is_in_millionths_and_absent_quality_passes_no_floor() -> None:
    found = built(quality={"default": "0.88", "byWorkload": {"advice": "0.905"}})
    assert found.quality == wire.Quality(default=880_000, by_workload={"advice": 905_000})
    assert built(quality=None).quality.default == 0


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ({"input": "1", "output": "2"}, (10**9, 10**9, None, None, 2 * 10**9)),
        (
            {"input": "3", "cachedInput": "0.30", "cacheWrite": {"5m": "3.75"}, "output": "15"},
            (3 * 10**9, 3 * 10**8, 3_750_000_000, None, 15 * 10**9),
        ),
        ({"input": "0", "output": "0"}, (0, 0, None, None, 0)),
        ({"input": "0.000000001", "output": 2}, (1, 1, None, None, 2 * 10**9)),
    ],
)
def test_prices_become_nano_dollars_per_million_tokens(
    price: dict[str, Any], expected: tuple[int | None, ...]
) -> None:
    table = built(price=price).lanes[0].price
    assert table is not None
    tier = table.standard
    assert (
        tier.input,
        tier.cached_input,
        tier.cache_write_5m,
        tier.cache_write_1h,
        tier.output,
    ) == expected


@pytest.mark.parametrize(
    ("difference", "billed", "ppm"),
    [
        ({"multiplier": "0.5"}, 500_000_000, (500_000, 0)),
        ({"regionalPremium": "0.10"}, 1_100_000_000, (1_000_000, 100_000)),
        ({"multiplier": "0.5", "regionalPremium": "0.10"}, 550_000_000, (500_000, 100_000)),
        ({"input": "0.000000001", "multiplier": "0.5"}, 1, (500_000, 0)),
        ({"input": "0.000000003", "regionalPremium": "0.1"}, 4, (1_000_000, 100_000)),
    ],
)
def test_factor_then_premium_rounded_up_once(
    difference: dict[str, str], billed: int, ppm: tuple[int, int]
) -> None:
    found = built(lanes=[lane(price=difference)]).lanes[0]
    assert found.price is not None
    assert found.price.standard.input == billed
    assert (found.multiplier_ppm, found.premium_ppm) == ppm


def test_the_list_price_is_kept_beside_what_the_lane_bills() -> None:
    found = built(lanes=[lane(price={"output": "8", "regionalPremium": "0.25"})]).lanes[0]
    assert found.list_price is not None
    assert found.price is not None
    assert (found.list_price.standard.input, found.price.standard.input) == (10**9, 125 * 10**7)
    assert (found.list_price.standard.output, found.price.standard.output) == (8 * 10**9, 10**10)


def test_a_long_context_bills_the_normal_price_where_it_says_nothing() -> None:
    price = {
        "input": "3",
        "cachedInput": "0.3",
        "cacheWrite": {"5m": "3.75"},
        "output": "15",
        "longContext": {"aboveTokens": 200_000, "input": "6"},
    }
    found = built(price=price, lanes=[lane(price={"multiplier": "0.5"})]).lanes[0].price
    assert found is not None
    assert found.long_context is not None
    assert found.long_context.above_tokens == 200_000
    assert found.long_context.tier == wire.Tier(
        input=3 * 10**9,
        cached_input=150_000_000,
        cache_write_5m=1_875_000_000,
        cache_write_1h=None,
        output=7_500_000_000,
    )


STANDARD = {
    "input": "2.5",
    "cachedInput": "0.25",
    "output": "15",
    "longContext": {"aboveTokens": 272_000, "input": "5", "cachedInput": "0.5", "output": "22.5"},
}
PRIORITY = {"input": "5", "cachedInput": "0.5", "output": "30"}


@pytest.mark.parametrize(
    ("own", "is_billed"),
    [
        (PRIORITY, False),
        ({"cachedInput": "0.6"}, False),
        ({"input": "2.75"}, False),
        ({"output": "15"}, True),
        ({"input": "1.25", "output": "7.5"}, True),
        ({"multiplier": "2"}, True),
        (PRIORITY | {"longContext": {"aboveTokens": 272_000, "input": "10", "output": "45"}}, True),
    ],
)
def test_a_dearer_lane_is_no_cheaper_the_longer_a_request_is(
    own: dict[str, Any], is_billed: bool
) -> None:
    """What a Model says of long requests is of its own prices, not of a lane's dearer ones."""
    lanes = [lane(), lane(name="priority", price=own)]
    found = compiled(fleet(model("mini", price=STANDARD, lanes=lanes)))
    standard, priority = found.snapshot.models[0].lanes
    assert standard.price is not None
    assert (priority.price is not None) == is_billed
    if not is_billed:
        finding = only(found, "Model", "mini")
        assert (finding.severity, finding.field) == ("warning", "spec.lanes[1].price")
        assert "longContext beside prices above the Model's own" in finding.text


@pytest.mark.parametrize("price", [None, {"input": "1"}, {"output": "2"}])
def test_a_lane_without_a_price_stays_and_is_told(price: dict[str, str] | None) -> None:
    given = lane() if price is None else lane(price=price)
    found = compiled(fleet(model("mini", price=None, lanes=[given])))
    assert found.snapshot.models[0].lanes[0].price is None
    assert found.snapshot.models[0].lanes[0].list_price is None
    finding = only(found, "Model", "mini")
    assert (finding.severity, finding.reason) == ("error", Reason.NO_PRICE)
    assert finding.field == "spec.lanes[0].price"


@pytest.mark.parametrize("able", ["imageGeneration", "transcription"])
def test_answers_that_are_billed_by_tokens_are_never_free_unsaid(able: str) -> None:
    lanes = [lane("us", price={"input": "5"}), lane("eu", price={"input": "5", "output": "40"})]
    found = compiled(fleet(model("mini", capabilities=[able], price=None, lanes=lanes)))
    without, stated = found.snapshot.models[0].lanes
    assert without.price is None
    assert stated.price is not None
    assert stated.price.standard.output == 40 * 10**9


def test_answers_that_are_billed_by_the_unit_need_no_price_of_tokens() -> None:
    """Of two kinds of answers one has a price of its own; the other has none at all then."""
    both = {"capabilities": ["imageGeneration", "transcription"], "price": None}
    lanes = [lane("us", price={"input": "5", "perMinute": "0.006"})]
    (only_minutes,) = built(**both, lanes=lanes).lanes
    assert only_minutes.price is not None
    assert not only_minutes.price.by_tokens
    lanes = [lane("us", price={"input": "5", "perMinute": "0.006", "perImage": [{"price": "1"}]})]
    (both_priced,) = built(**both, lanes=lanes).lanes
    assert both_priced.price is not None
    assert both_priced.price.by_tokens


def test_a_row_of_images_that_an_earlier_one_covers_is_told() -> None:
    rows = [
        {"size": "1024x1024", "quality": "hd", "price": "0.08"},
        {"size": "1024x1024", "price": "0.04"},
        {"size": "1024x1024", "quality": "high", "price": "0.17"},
        {"price": "0.20"},
    ]
    painter = {"capabilities": ["imageGeneration"], "price": {"perImage": rows}}
    finding = only(compiled(fleet(model("mini", **painter))), "Model", "mini")
    assert (finding.severity, finding.field) == ("warning", "spec.price.perImage[2]")
    assert "perImage[1]" in finding.message
    painter |= {"price": None, "lanes": [lane(price={"perImage": [{"price": "1"}] * 2})]}
    finding = only(compiled(fleet(model("mini", **painter))), "Model", "mini")
    assert finding.field == "spec.lanes[0].price.perImage[1]"


def test_one_priced_lane_is_enough_for_the_model() -> None:
    lanes = [lane("us", price={"input": "1", "output": "2"}), lane("eu")]
    found = compiled(fleet(model("mini", price=None, lanes=lanes)))
    assert [item.price is None for item in found.snapshot.models[0].lanes] == [False, True]
    assert only(found, "Model", "mini").severity == "warning"


def test_a_lane_takes_what_it_leaves_out_from_another() -> None:
    found = built(
        lanes=[
            lane("eu", jurisdiction="DE", price={"regionalPremium": "0.10"}),
            {"name": "batch", "from": "eu", "class": "batch", "price": {"multiplier": "0.5"}},
        ]
    )
    eu, batch = found.lanes
    assert (batch.lane_class, batch.jurisdiction, batch.endpoint) == ("batch", "DE", eu.endpoint)
    assert (batch.multiplier_ppm, batch.premium_ppm) == (500_000, 100_000)
    assert batch.price is not None
    assert batch.price.standard.input == 550_000_000


@pytest.mark.parametrize(
    ("fields", "limit_field", "tier"),
    [
        ({"provider": "mistral"}, "max_tokens", ""),
        ({"provider": "openai"}, "max_completion_tokens", "default"),
        ({"provider": "openai", "class": "regional"}, "max_completion_tokens", "default"),
        ({"provider": "openai", "class": "reserved"}, "max_completion_tokens", ""),
        ({"provider": "openai", "class": "flex"}, "max_completion_tokens", "flex"),
        ({"provider": "openai", "outputLimitField": "max_tokens"}, "max_tokens", "default"),
        ({"provider": "openai", "serviceTier": "priority"}, "max_completion_tokens", "priority"),
    ],
)
def test_what_is_sent_upstream_fits_the_price_that_is_stated(
    fields: dict[str, Any], limit_field: str, tier: str
) -> None:
    found = built(lanes=[lane(**fields)]).lanes[0]
    assert (found.output_limit_field, found.service_tier) == (limit_field, tier)


def test_a_flex_lane_from_a_public_one_asks_for_flex() -> None:
    lanes = [
        lane("us", provider="openai", serviceTier="default"),
        {"name": "slow", "from": "us", "class": "flex", "price": {"multiplier": "0.5"}},
    ]
    assert [item.service_tier for item in built(lanes=lanes).lanes] == ["default", "flex"]


def test_embeddings_are_sent_without_a_service_tier() -> None:
    spec = {"capabilities": ["embeddings"], "price": {"input": "1"}}
    assert built(lanes=[lane(provider="openai")], **spec).lanes[0].service_tier == ""


def test_times_are_in_milliseconds_and_seconds() -> None:
    found = built(
        lanes=[lane(typicalFirstChunkMs=800, limits={"requestTimeoutSeconds": 30})],
        deprecation={"at": "2027-05-01T00:00:00Z"},
    )
    assert (found.lanes[0].first_chunk_ms, found.lanes[0].request_timeout_ms) == (800, 30_000)
    assert found.retires_at == 1_809_129_600
    assert built().lanes[0].request_timeout_ms == 600_000


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://api.example.com/v1", "http://127.0.0.1:9/api.example.com/v1"),
        ("https://api.example.com", "http://127.0.0.1:9/api.example.com"),
        ("http://vllm.models.svc:8000/v1", "http://127.0.0.1:9/vllm.models.svc:8000/v1"),
    ],
)
def test_simulated_everything_is_equal_but_the_address(endpoint: str, expected: str) -> None:
    objects = fleet(model("mini", lanes=[lane(endpoint=endpoint)]))
    real = compiled(objects).snapshot
    simulated = compiled(objects, simulate_url="http://127.0.0.1:9/").snapshot
    assert real.models[0].lanes[0].endpoint == endpoint
    assert simulated.models[0].lanes[0].endpoint == expected
    assert repr(simulated).replace(expected, endpoint) == repr(real)


def test_a_replacement_is_found_by_any_name() -> None:
    end = {"at": "2027-05-01T00:00:00Z", "replacement": "new-latest"}
    found = compiled(fleet(model("old", deprecation=end), model("new", aliases=["new-latest"])))
    models = {item.name: item for item in found.snapshot.models}
    assert models["old"].replacement == "signalbox-system/new"


def test_a_replacement_that_does_not_exist_is_refused() -> None:
    found = compiled(fleet(model("old", deprecation={"replacement": "gone"})))
    finding = only(found, "Model", "old")
    assert (finding.reason, finding.field) == (
        Reason.REF_NOT_FOUND,
        "spec.deprecation.replacement",
    )


def test_replacements_in_a_circle_are_dropped_and_told() -> None:
    found = compiled(
        fleet(
            model("one", deprecation={"replacement": "two"}),
            model("two", deprecation={"replacement": "one"}),
            model("self", deprecation={"replacement": "self"}),
        )
    )
    assert all(item.replacement is None for item in found.snapshot.models)
    for name in ("one", "two", "self"):
        assert [item.reason for item in about(found, "Model", name)] == [Reason.CYCLE]

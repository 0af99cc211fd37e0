"""Every sample compiles, and what its header says happens, happens.

Each claim below is named after its file and decides by the whole pure chain.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fields.chain import NOON, PLATFORM, Ask, Company
from signalbox_api import Resource
from signalbox_api.keys import adopt_key, new_key
from signalbox_api.load import read_paths, read_text
from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.multipart import Upload

MANIFESTS = Path(__file__).parents[2] / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))
MILLION = 1_000_000
DOLLAR = 1_000_000_000
DAY = "shop/shop-day"

Claim = Callable[[Company], None]
CLAIMS: dict[str, Claim] = {}


def claim(written: Claim) -> Claim:
    CLAIMS[written.__name__.replace("_", "-")] = written
    return written


def sample(name: str, change: Callable[[str], str] = str) -> Company:
    """A sample in force; `change` edits its text before."""
    loaded = read_text(change((MANIFESTS / "samples" / f"{name}.yaml").read_text()), name)
    assert not loaded.problems
    return Company(as_stored(loaded.resources))


def as_stored(resources: Any) -> list[Resource]:
    """With the generation that the API server would give."""
    return [
        item.model_copy(update={"metadata": item.metadata.model_copy(update={"generation": 1})})
        for item in resources
    ]


def ask(model: str = "gpt-5-mini", surface: str = "chat", **more: Any) -> Ask:
    """A request of the samples' agent; `x_…` are headers of Signalbox, all else is body."""
    headers = {
        f"x-signalbox-{name[2:].replace('_', '-')}": value
        for name, value in more.items()
        if name.startswith("x_")
    }
    body = {name: value for name, value in more.items() if not name.startswith("x_")}
    return Ask("shop/bot", model, surface, body, headers)


def block(**more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "Hello"} | more]}]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_compiles_without_a_remark(path: Path) -> None:
    loaded = read_paths([path])
    assert not loaded.problems
    assert [str(each) for each in Company(as_stored(loaded.resources)).compilation.findings] == []


def test_the_quickstart_compiles_with_nothing_to_put_right() -> None:
    loaded = read_paths([MANIFESTS / "quickstart"])
    assert not loaded.problems
    found = Company(as_stored(loaded.resources)).compilation.findings
    assert [str(each) for each in found if each.severity != "info"] == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_what_the_header_says_happens(path: Path) -> None:
    CLAIMS[path.stem](sample(path.stem))


def test_no_claim_is_left_over() -> None:
    assert set(CLAIMS) == {path.stem for path in SAMPLES}


@claim
def agent_keys(it: Company) -> None:
    current, previous = (new_key("shop", "bot", bytes([number]) * 24) for number in (1, 2))
    own = "sk-what-the-application-always-had"
    adopted = adopt_key("shop", "bot", own)
    listed = it.runtime.agents["shop/bot"].agent.keys
    named = {key.name: key for key in listed}
    legacy = named["legacy-application"]
    put = {
        named["current"].sha256: current.sha256,
        named["previous"].sha256: previous.sha256,
        legacy.sha256: adopted.sha256,
        legacy.lookup: adopted.lookup,
    }

    def with_known_keys(text: str) -> str:
        for written, known in put.items():
            text = text.replace(written, known)
        return text

    known = sample("agent-keys", with_known_keys)
    assert known.caller(current.key) == "shop/bot by current"
    assert known.caller(previous.key) == "shop/bot by previous"
    assert known.caller(own) == "shop/bot by legacy-application"
    may_2027 = 1_809_129_600
    assert known.caller(previous.key, may_2027 - 1) == "shop/bot by previous"
    assert "previous of agent shop/bot has expired" in known.caller(previous.key, may_2027)
    assert known.caller(current.key, may_2027) == "shop/bot by current"


@claim
def agent_models_and_tools(it: Company) -> None:
    assert it.lanes(ask()) == ["gpt-5-mini/us"]
    assert it.lanes(ask("claude-haiku-4-5")) == "model_not_permitted"
    trade = [{"type": "function", "function": {"name": "trade"}}]
    quote = [{"type": "function", "function": {"name": "quote"}}]
    assert it.lanes(ask(tools=trade)) == "tool_not_permitted"
    assert it.lanes(ask(tools=quote)) == ["gpt-5-mini/us"]


@claim
def agent_sensitivity(it: Company) -> None:
    assert it.lanes(ask(x_sensitivity="confidential")) == "sensitivity_not_permitted"
    assert it.record(ask(x_sensitivity="public"))["sensitivity"] == "internal"


@claim
def budget_day(it: Company) -> None:
    dear = ask(max_completion_tokens=128_000, n=2)
    assert it.lanes(ask()) == ["gpt-5-mini/us"]
    assert it.lanes(dear) == "quote_exceeds_policy"
    assert it.window(DAY) == "04-30 22:00 - 05-01 22:00"
    spent = it.when_spent(ask(), DAY)
    assert (spent.http_status, spent.code) == (402, "budget_exhausted")
    assert "Wait until 22:00 UTC" in spent.message
    seen = [it.exhausted(DAY, cents * DOLLAR // 100) for cents in (249, 250, 450, 500)]
    warned = "False WarnLevel"
    assert seen == ["False WithinLimit", warned, warned, "True Exhausted"]


@claim
def budget_domain_tree(it: Company) -> None:
    both = ["shop/web-week", f"{PLATFORM}/company-week"]
    assert it.accounts(ask()) == both
    assert it.refusing_accounts(ask()) == both
    assert [it.budget(name).limit for name in both] == [10 * DOLLAR, 50 * DOLLAR]


@claim
def budget_dry_run(it: Company) -> None:
    assert it.accounts(ask()) == [DAY, "shop/shop-hour"]
    assert it.refusing_accounts(ask()) == [DAY]


@claim
def budget_lifetime(it: Company) -> None:
    assert it.window("shop/trial") == "for ever"
    spent = it.when_spent(ask(), "shop/trial")
    assert (spent.http_status, spent.code) == (402, "budget_exhausted")
    assert spent.retry_after_s is None
    assert "Ask its owner to raise the limit" in spent.message


@claim
def budget_per_session(it: Company) -> None:
    assert it.accounts(ask(x_session="a")) == ["shop/bot-session a", DAY]
    assert it.accounts(ask(x_session="b")) == ["shop/bot-session b", DAY]
    assert it.accounts(ask()) == "no_budget"
    assert it.when_spent(ask(x_session="a"), "shop/bot-session").code == "budget_exhausted"
    assert it.budget("shop/bot-session").limit == 5 * DOLLAR // 100


@claim
def budget_per_user(it: Company) -> None:
    ann = ["shop/bot-user ann", DAY]
    assert it.accounts(ask(user="ann")) == ann
    assert it.accounts(ask(safety_identifier="ann")) == ann
    assert it.accounts(ask(x_user="ann")) == ann
    assert it.accounts(ask()) == ["shop/bot-user", DAY]
    said = it.when_spent(ask(user="ann"), "shop/bot-user", reason="subjects", most_subjects=500)
    assert (said.http_status, said.code) == (402, "too_many_subjects")
    assert "agent shop/bot has brought 500 new ones into this window" in said.message
    assert "wait until" in said.message
    assert it.budget("shop/bot-user").new_subjects == 500


@claim
def budget_cheaper_lane(it: Company) -> None:
    drafts = ask(x_workload="drafts")
    assert it.lanes(drafts) == ["gpt-5/us", "gpt-5-mini/us"]
    assert it.goes_cheaper(drafts, DAY)
    assert it.lanes(ask()) == ["gpt-5-mini/us"]


@claim
def budget_rate_limit(it: Company) -> None:
    assert it.accounts(ask()) == ["shop/bot-rate", DAY]
    spent = it.when_spent(ask(), "shop/bot-rate")
    assert (spent.http_status, spent.code, spent.retry_after_s) == (429, "rate_limited", 60)
    assert it.exhausted("shop/bot-rate", 59) == "False WithinLimit"
    assert it.exhausted("shop/bot-rate", 60) == "True Exhausted"
    money = [item for item in it.objects if item.metadata.name != "shop-day"]
    assert Company(money).accounts(ask()) == "no_budget"


@claim
def budget_tokens(it: Company) -> None:
    spent = it.when_spent(ask(), "shop/bot-tokens")
    assert (spent.http_status, spent.code) == (429, "rate_limited")
    assert it.lanes(ask(max_completion_tokens=49_000)) == ["gpt-5-mini/us"]
    assert it.lanes(ask(max_completion_tokens=50_000)) == "quote_exceeds_policy"


@claim
def budget_workload(it: Company) -> None:
    assert it.accounts(ask(x_workload="summaries")) == [DAY, "shop/summaries-day"]
    assert it.accounts(ask()) == [DAY]


@claim
def data_asset(it: Company) -> None:
    assert it.lanes(ask("llama", x_data_assets="shop/ledger")) == ["llama-3.3-70b-instruct/own"]
    assert it.lanes(ask(x_data_assets="shop/ledger")) == "residency"
    document = it.record(ask("llama", x_data_assets="shop/ledger"))
    assert (document["sensitivity"], document["data_assets"]) == ("regulated", ["shop/ledger"])
    assert it.lanes(ask("llama", x_data_assets="shop/nothing")) == "unknown_data_asset"


@claim
def domain_residency(it: Company) -> None:
    assert it.lanes(ask()) == ["gpt-5-mini/eu"]
    assert it.record(ask(), Usage(input=MILLION))["cost_usd"] == "0.275"
    assert it.lanes(ask("claude-haiku-4-5")) == "residency"
    assert it.lanes(ask("claude-haiku-4-5", "messages")) == "residency"


@claim
def model_deprecation(it: Company) -> None:
    assert it.lanes(ask()) == ["llama-3.3-70b-instruct/own"]
    document = it.record(ask())
    assert document["model"] == f"{PLATFORM}/llama-3.3-70b-instruct"
    assert document["model_asked"] == "gpt-5-mini"


@claim
def model_embeddings(it: Company) -> None:
    embedding = ask("text-embedding-3-small", "embeddings")
    assert it.lanes(embedding) == ["text-embedding-3-small/us"]
    assert it.record(embedding, Usage(input=MILLION))["cost_usd"] == "0.02"
    assert it.bound(embedding).bound.output == 0
    assert it.lanes(ask("text-embedding-3-small")) == "no_capable_lane"


@claim
def model_images_generation(it: Company) -> None:
    def drawn(**asked: Any) -> Ask:
        return Ask("shop/bot", "dall-e-3", "images", asked)

    assert it.bound(drawn()).worst_nano == 40_000_000
    assert it.call(drawn())["body"]["size"] == "1024x1024"
    assert it.bound(drawn(quality="hd", n=2)).worst_nano == 160_000_000
    assert it.lanes(drawn(size="512x512")) == "no_price"
    by_tokens = it.bound(Ask("shop/bot", "gpt-image-1", "images"))
    assert by_tokens.bound.output == 6240
    assert it.lanes(ask("dall-e-3")) == "no_capable_lane"


@claim
def model_audio(it: Company) -> None:
    heard = Ask("shop/bot", "whisper-1", "transcriptions")
    mp3 = {"file": Upload("mp3", "audio/mpeg", memoryview(b"ID3"))}
    assert it.bound(heard).worst_nano == 6_000_000
    assert it.lanes(Ask("shop/bot", "whisper-1", "transcriptions", mp3)) == "no_bound"
    assert (
        it.bound(Ask("shop/bot", "gpt-4o-transcribe", "transcriptions", mp3)).bound_tokens == 18_000
    )
    assert it.bound(Ask("shop/bot", "tts-1", "speech")).worst_nano == 15_000_000


@claim
def model_rerank(it: Company) -> None:
    asked = Ask("shop/bot", "rerank-v3.5", "rerank")
    assert it.bound(asked).worst_nano == 2_000_000
    assert it.call(asked)["url"] == "https://api.cohere.com/v2/rerank"
    many = Ask("shop/bot", "rerank-v3.5", "rerank", {"documents": ["a"] * 101})
    assert it.bound(many).worst_nano == 4_000_000
    own = it.bound(Ask("shop/bot", "bge-reranker", "rerank"))
    assert own.units is None


@claim
def model_images_and_documents(it: Company) -> None:
    def pictured(size: int) -> Ask:
        source = {"type": "base64", "media_type": "image/png", "data": "aaaa" * size}
        content = [{"type": "image", "source": source}]
        return ask("claude-haiku-4-5", "messages", messages=[{"role": "user", "content": content}])

    # 600 and 8 of overhead
    assert it.bound(pictured(1)).bound.input == it.bound(pictured(9)).bound.input == 5608
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aaaa"}
    text = {"type": "text", "media_type": "text/plain", "data": "Hello"}

    def reading(source: dict[str, str]) -> Ask:
        content = [{"type": "document", "source": source}]
        return ask("claude-haiku-4-5", "messages", messages=[{"role": "user", "content": content}])

    assert it.bound(reading(text)).bound.input == 613
    assert it.lanes(reading(pdf)) == "no_bound"
    written = (MANIFESTS / "samples" / "model-images-and-documents.yaml").read_text()
    (problem,) = read_text(written.replace(", tokensPerImage: 5000", ""), "sample").problems
    assert "tokensPerImage is missing" in problem.message


@claim
def model_lanes(it: Company) -> None:
    assert it.lanes(ask()) == ["gpt-5-mini/flex", "gpt-5-mini/us", "gpt-5-mini/eu"]
    parts = ("base_usd", "premium_usd", "batch_saving_usd", "cost_usd")

    def line(lane: str) -> list[str]:
        document = it.record(ask(), Usage(output=MILLION), f"gpt-5-mini/{lane}")
        return [document["charges"][0][part] for part in parts]

    assert line("us") == ["2.00", "0.00", "0.00", "2.00"]
    assert line("eu") == ["2.00", "0.20", "0.00", "2.20"]
    assert line("flex") == ["2.00", "0.00", "1.00", "1.00"]


@claim
def model_clouds(it: Company) -> None:
    both = ["assistant/vertex", "assistant/azure"]
    assert it.lanes(ask("assistant")) == both
    assert it.lanes(ask("assistant", "messages")) == both
    ticket = {"type": "object", "properties": {"id": {"type": "string", "pattern": "^T[0-9]+$"}}}
    form = {"type": "json_schema", "json_schema": {"name": "t", "strict": True, "schema": ticket}}
    assert it.lanes(ask("assistant", response_format=form)) == ["assistant/azure"]


@claim
def model_long_context(it: Company) -> None:
    def held(words: int) -> int:
        content = "a" * words
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1}
        return it.bound(ask("claude-sonnet-4-5", "messages", **body)).worst_nano

    # 199,392 bytes and 608 of overhead are 200,000 tokens at 3 dollars, one more are at 6
    assert held(199_392) == 600_000_000 + 15_000 + 3
    assert held(199_393) == 200_001 * 6_000 + 22_500 + 3


@claim
def model_prompt_cache(it: Company) -> None:
    plain = ask("claude-haiku-4-5", "messages", messages=block())
    marks = {"cache_control": {"type": "ephemeral"}}
    marked = ask("claude-haiku-4-5", "messages", messages=block(**marks))
    # 613 tokens in, at 1 and 1.25 dollars, and 1000 out at 5
    assert it.bound(plain).worst_nano == 613_000 + 5_000_000 + 3
    assert it.bound(marked).worst_nano == 766_250 + 5_000_000 + 3
    (line,) = it.record(marked, Usage(cached_input=MILLION))["charges"]
    assert (line["cost_usd"], line["cache_saving_usd"]) == ("0.10", "0.90")

    def unpriced(text: str) -> str:
        return text.replace(' cacheWrite: {5m: "1.25", 1h: "2"},', "")

    assert sample("model-prompt-cache", unpriced).lanes(marked) == "no_bound"


@claim
def model_other_clouds(it: Company) -> None:
    vertex, bedrock = "assistant/vertex", "assistant/bedrock"
    for surface in ("chat", "messages"):
        assert it.lanes(ask("assistant", surface)) == [vertex, bedrock]
        assert it.lanes(ask("assistant", surface, x_data_assets="orders")) == [vertex]
    assert it.call(ask("assistant"), lane=bedrock)["url"].endswith("/converse")
    assert it.call(ask("assistant"))["url"].endswith("/gemini-2.5-flash:generateContent")
    refusal = it.answer(ask("assistant", logit_bias={"1": 1})).decision.refusal
    assert refusal is not None
    assert (refusal.code, refusal.param) == ("no_capable_lane", "logit_bias")


@claim
def route_auto(it: Company) -> None:
    llama, mini, haiku = "llama-3.3-70b-instruct/own", "gpt-5-mini/us", "claude-haiku-4-5/us"
    assert it.lanes(ask("auto")) == [llama, mini, haiku]
    assert it.lanes(ask("auto", "messages")) == [llama, mini, haiku]
    assert it.lanes(ask()) == [mini]


@claim
def route_best(it: Company) -> None:
    assert it.lanes(ask(x_workload="drafts")) == ["gpt-5/us", "gpt-5-mini/us"]
    assert it.lanes(ask()) == ["gpt-5-mini/us"]


@claim
def route_dry_run(it: Company) -> None:
    assert it.lanes(ask()) == ["gpt-5-mini/us"]
    (said,) = it.record(ask())["dry_run_refusals"]
    assert "quality 0.74 is under the floor 0.75 of shop/stricter" in said
    haiku = ask("claude-haiku-4-5", "messages")
    assert it.record(haiku)["dry_run_refusals"] == []


@claim
def route_failover(it: Company) -> None:
    assert it.lanes(ask()) == ["llama-3.3-70b-instruct/own", "gpt-5-mini/us"]
    assert it.answer(ask()).decision.attempts == 3


@claim
def route_fastest(it: Company) -> None:
    typing = ask("llama", x_workload="typing-ahead", stream=True)
    assert it.lanes(typing) == ["gpt-5-mini/us"]
    assert it.call(typing)["first_chunk_s"] == 1.5
    assert it.lanes(ask("llama")) == ["llama-3.3-70b-instruct/own"]


@claim
def route_no_failover(it: Company) -> None:
    assert it.answer(ask(x_task="payment-text")).decision.attempts == 1
    assert it.answer(ask()).decision.attempts == 3


@claim
def route_places(it: Company) -> None:
    assert it.lanes(ask(x_sensitivity="confidential")) == ["gpt-5-mini/eu"]
    assert it.lanes(ask()) == ["gpt-5-mini/us", "gpt-5-mini/eu"]


@claim
def route_price_cap(it: Company) -> None:
    assert it.bound(ask()).output_limit == 512
    assert it.lanes(ask(max_completion_tokens=9_000)) == ["gpt-5-mini/us"]
    assert it.lanes(ask(max_completion_tokens=10_000)) == "quote_exceeds_policy"
    # 0.02 dollars less 613 tokens in at 0.25 leave room for 9,923 tokens out at 2
    assert "Lower max_tokens to 9923" in it.refusal(ask(max_completion_tokens=10_000))


@claim
def route_prompt_caching(it: Company) -> None:
    long = {"system": "Answer as the guide says. " * 50}
    asked = Ask("shop/bot", "claude-haiku-4-5", surface="messages", body=long)
    (block,) = it.call(asked)["body"]["system"]
    assert block["cache_control"] == {"type": "ephemeral"}
    quote = it.bound(asked)
    # each token that may be read at 1.25 dollars a million, 1000 out at 5, 3 of rounding
    assert quote.worst_nano == quote.bound.input * 1250 + 5_000_000 + 3
    charges = it.record(asked, Usage(cached_input=8000))["charges"]
    assert [line["cache_saving_usd"] for line in charges] == ["0.0072"]


@claim
def route_quality_floor(it: Company) -> None:
    assert it.lanes(ask("auto")) == ["llama-3.3-70b-instruct/own", "gpt-5/us"]
    assert it.lanes(ask("auto", x_workload="advice")) == ["gpt-5/us"]
    assert it.lanes(ask("llama", x_workload="advice")) == "quality_floor"


@claim
def route_responses_store(it: Company) -> None:
    asked = ask(surface="responses")
    assert it.call(asked)["body"]["store"] is True
    secret = ask(surface="responses", x_sensitivity="confidential")
    assert it.call(secret)["body"]["store"] is False
    wanted = ask(surface="responses", store=True, x_sensitivity="confidential")
    assert it.lanes(wanted) == "storage_not_permitted"


@claim
def tenancy(it: Company) -> None:
    north, south = (Ask(f"{name}/bot", "gpt-5-mini") for name in ("north", "south"))
    assert it.lanes(north) == it.lanes(south) == ["gpt-5-mini/eu"]
    assert len(it.record(north)["residency_lock"]) == 27
    assert it.record(south)["residency_lock"] == ["IE"]

    def east(text: str) -> str:
        third = text.split("---\n")[2].replace("north", "east")
        return f"{text}---\n{third}"

    assert it.condition("Domain/north/north", "Accepted") == "True Accepted"
    other = sample("tenancy", east)
    assert other.condition("Domain/east/east", "Accepted") == "False RefNotPermitted"


def test_the_quickstart_sends_regulated_data_to_the_companys_own_lane() -> None:
    it = Company(as_stored(read_paths([MANIFESTS / "quickstart"]).resources))
    advice = Ask("wealth/advisor", "auto")
    assert it.lanes(advice) == ["llama-3.3-70b-instruct/own"]
    document = it.record(advice)
    assert document["route_policy"] == "wealth/advice"
    assert document["sensitivity"] == "regulated"
    assert it.accounts(advice) == [f"{PLATFORM}/company-day", "wealth/advisor-session"]


def test_the_quickstart_keeps_retail_within_its_models_and_its_cents() -> None:
    it = Company(as_stored(read_paths([MANIFESTS / "quickstart"]).resources))
    shop = Ask("retail/assistant", "auto")
    assert it.lanes(shop)[:2] == ["gpt-5.4-mini/us", "gpt-5.4-mini/eu"]
    assert it.lanes(Ask("retail/assistant", "llama")) == "model_not_permitted"
    assert it.window("retail/assistant") == "05-01 12:00 - 05-01 12:02"
    assert it.refusing_accounts(shop) == ["retail/assistant", f"{PLATFORM}/company-day"]
    assert it.when_spent(shop, "retail/assistant").code == "budget_exhausted"
    catalog = Ask("retail/catalog", "text-embedding-3-small", "embeddings")
    assert it.when_spent(catalog, "retail/catalog-rate").code == "rate_limited"
    assert NOON % 120 == 0

"""Prices of models and lanes: what a run is charged. A million tokens cost what is written."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.cases_models import MODEL
from fields.chain import PLATFORM, Ask
from signalbox_ledger.records import Usage

MILLION = 1_000_000
READ = Usage(input=MILLION)
CACHED = Usage(cached_input=MILLION)
WRITE_5M = Usage(cache_write_5m=MILLION)
WRITE_1H = Usage(cache_write_1h=MILLION)
WRITTEN = Usage(output=MILLION)
TALK = Usage(input=MILLION, output=MILLION)
MARKED = {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}
CACHING = Ask(
    model="claude",
    surface="messages",
    body={"messages": [{"role": "user", "content": [MARKED]}]},
)
ABOVE = 100_000


def costs(
    field: str, story: str, was: Any, now: Any, usage: Usage, expect: tuple[str, str], **given: Any
) -> Case:
    """A price of the model `mini` or of its lane `us`; `given` are other fields of the model."""
    return Case(
        f"Model.{field}",
        story,
        MODEL,
        was,
        now,
        lambda it: it.cost(usage),
        expect,
        given={f"{MODEL}: {path.replace('__', '.')}": value for path, value in given.items()},
    )


MODEL_PRICES = [
    costs("price.input", "input costs more", "1", "3", READ, ("1.00", "3.00")),
    costs("price.output", "output costs more", "2", "4", WRITTEN, ("2.00", "4.00")),
    costs("price.cachedInput", "cached input costs less", ABSENT, "0.1", CACHED, ("1.00", "0.10")),
    costs("price.cacheWrite.5m", "a write costs more", ABSENT, "1.25", WRITE_5M, ("1.00", "1.25")),
    costs("price.cacheWrite.1h", "a write costs more", ABSENT, "2", WRITE_1H, ("1.00", "2.00")),
    Case(
        "Model.price.cacheWrite.5m",
        "without a price, who asks for a cache write is refused",
        f"Model/{PLATFORM}/claude",
        ABSENT,
        "3.75",
        lambda it: it.lanes(CACHING),
        ("no_bound", ["claude/us"]),
    ),
    Case(
        "Model.price.cacheWrite.5m",
        "the hold covers the write that a marker may cause",
        f"Model/{PLATFORM}/claude",
        "3.75",
        "30",
        lambda it: it.bound(CACHING).worst_nano,
        # 613 tokens in at 3.75, then 30 dollars per million, 1000 out at 15, and 3 of rounding
        (17_298_753, 33_390_003),
    ),
    costs(
        "price.longContext.aboveTokens",
        "a higher threshold bills the normal price",
        ABOVE,
        2 * MILLION,
        READ,
        ("2.00", "1.00"),
        price__longContext={"aboveTokens": ABOVE, "input": "2"},
    ),
    costs(
        "price.longContext.input",
        "long input costs more",
        ABSENT,
        "2",
        READ,
        ("1.00", "2.00"),
        price__longContext__aboveTokens=ABOVE,
    ),
    costs(
        "price.longContext.cachedInput",
        "cached long input costs less",
        ABSENT,
        "0.5",
        CACHED,
        ("1.00", "0.50"),
        price__longContext__aboveTokens=ABOVE,
    ),
    costs(
        "price.longContext.cacheWrite.5m",
        "a long write costs more",
        ABSENT,
        "3",
        WRITE_5M,
        ("1.00", "3.00"),
        price__longContext__aboveTokens=ABOVE,
    ),
    costs(
        "price.longContext.cacheWrite.1h",
        "a long write costs more",
        ABSENT,
        "4",
        WRITE_1H,
        ("1.00", "4.00"),
        price__longContext__aboveTokens=ABOVE,
    ),
    costs(
        "price.longContext.output",
        "output after long input costs more",
        ABSENT,
        "9",
        TALK,
        ("3.00", "10.00"),
        price__longContext__aboveTokens=ABOVE,
    ),
]

LONG = "lanes[].price.longContext"
LANE_PRICES = [
    costs("lanes[].price.multiplier", "half the price", ABSENT, "0.5", TALK, ("3.00", "1.50")),
    costs("lanes[].price.regionalPremium", "a fifth more", ABSENT, "0.2", TALK, ("3.00", "3.60")),
    costs("lanes[].price.input", "own input price", ABSENT, "5", READ, ("1.00", "5.00")),
    costs("lanes[].price.cachedInput", "own price", ABSENT, "0.7", CACHED, ("1.00", "0.70")),
    costs("lanes[].price.cacheWrite.5m", "own price", ABSENT, "6", WRITE_5M, ("1.00", "6.00")),
    costs("lanes[].price.cacheWrite.1h", "own price", ABSENT, "7", WRITE_1H, ("1.00", "7.00")),
    costs("lanes[].price.output", "own output price", ABSENT, "8", WRITTEN, ("2.00", "8.00")),
    costs(
        f"{LONG}.aboveTokens",
        "a higher threshold bills the normal price",
        ABOVE,
        2 * MILLION,
        READ,
        ("2.00", "1.00"),
        lanes__0__price={"longContext": {"aboveTokens": ABOVE, "input": "2"}},
    ),
    *(
        costs(
            f"{LONG}.{name}",
            "own price of long requests",
            ABSENT,
            price,
            usage,
            expect,
            lanes__0__price={"longContext": {"aboveTokens": ABOVE}},
        )
        for name, price, usage, expect in (
            ("input", "2", READ, ("1.00", "2.00")),
            ("cachedInput", "0.5", CACHED, ("1.00", "0.50")),
            ("cacheWrite.5m", "3", WRITE_5M, ("1.00", "3.00")),
            ("cacheWrite.1h", "4", WRITE_1H, ("1.00", "4.00")),
            ("output", "9", TALK, ("3.00", "10.00")),
        )
    ),
]

CASES = [*MODEL_PRICES, *LANE_PRICES]

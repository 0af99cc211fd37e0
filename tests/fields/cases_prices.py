"""Prices of models and lanes: what a run is charged. A million tokens cost what is written."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.cases_models import MODEL
from fields.chain import PLATFORM, Ask
from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.multipart import Upload

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

STUDIO = f"Model/{PLATFORM}/studio"
DRAWN, RANKED, SPOKEN, HEARD = (
    Ask(model="studio", surface=surface)
    for surface in ("images", "rerank", "speech", "transcriptions")
)
HD = {"size": "1024x1024", "quality": "hd", "price": "0.08"}


def holds(ask: Ask, expect: tuple[int, int], *change: Any, **given: Any) -> Case:
    """A price by the unit; `change` is the field, the story, and the two values."""
    field, story, was, now = change
    places = {f"{STUDIO}: {path.replace('__', '.')}": value for path, value in given.items()}
    see = lambda it: it.bound(ask).worst_nano  # noqa: E731
    return Case(f"Model.{field}", story, STUDIO, was, now, see, expect, given=places)


def prices_of_units(at: str, **given: Any) -> list[Case]:
    """The same fields of a model's price and of a lane's."""
    image = f"{at}price.perImage[]"
    hears = {"price__perMinute": ABSENT, "price__input": "1", "price__output": "0"}
    hears |= {"limits__maxOutputTokens": 10}
    return [
        holds(
            DRAWN, (80_000_000, 90_000_000), f"{image}.price", "costs more", "0.08", "0.09", **given
        ),
        *(
            Case(
                f"Model.{image}.{name}",
                "what the client leaves open is what has a price",
                STUDIO,
                was,
                now,
                lambda it, name=name: it.call(DRAWN)["body"][name],
                (was, now),
                given={
                    f"{STUDIO}: {path.replace('__', '.')}": each for path, each in given.items()
                },
            )
            for name, was, now in (("size", "1024x1024", "512x512"), ("quality", "hd", "standard"))
        ),
        holds(RANKED, (2_000_000, 4_000_000), f"{at}price.perThousandSearches", "more", "2", "4"),
        holds(HEARD, (6_000_000, 9_000_000), f"{at}price.perMinute", "more", "0.006", "0.009"),
        holds(
            SPOKEN, (15_000_000, 30_000_000), f"{at}price.perMillionCharacters", "more", "15", "30"
        ),
        holds(
            HEARD,
            # 4096 tokens, 10 out at nothing, and three or one of rounding
            (4096_000 + 3, 4096 * 6_000 + 1),
            f"{at}price.audioInput",
            "sound is dearer than text",
            ABSENT,
            "6",
            **hears,
        ),
    ]


UNIT_PRICES = [
    *prices_of_units("", price__perImage=[HD]),
    *prices_of_units("lanes[].", lanes__0__price={"perImage": [HD]}),
    Case(
        "Model.limits.audioSeconds",
        "bounds what does not tell its length",
        STUDIO,
        ABSENT,
        1500,
        lambda it: it.lanes(
            Ask(
                model="studio",
                surface="transcriptions",
                body={"file": Upload("mp3", "audio/mpeg", memoryview(b"ID3"))},
            )
        ),
        ("no_bound", ["studio/us"]),
    ),
]

CASES = [*MODEL_PRICES, *LANE_PRICES, *UNIT_PRICES]

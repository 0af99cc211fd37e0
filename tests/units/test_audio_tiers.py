"""Sound that is billed by tokens, at prices that change with the length of the input."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.model_request import TokenBound
from signalbox_proxy.quotes import Quote
from signalbox_proxy.reservation import Reservation
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.surfaces import IMAGES
from signalbox_proxy.unit_bounds import dearest_audio, worst_by_tokens
from signalbox_snapshot.snapshot import LongContext, PriceTable, Tier, UnitPrice
from support.snapshots import PLATFORM, lane, model

PRICES = st.integers(0, 100_000_000_000)
TIERS = st.builds(Tier, st.just(0), st.just(0), st.none(), st.none(), PRICES).flatmap(
    lambda tier: PRICES.map(lambda price: msgspec.structs.replace(tier, input=price))
)
COUNTS = st.integers(0, 3000)


def attempt_of(table: PriceTable, most: TokenBound) -> AttemptInFlight:
    """An attempt that holds all that a transcript within `most` may cost, of no budget."""
    there = lane("us", price=table, list_price=table)
    prepared = PreparedLane("us", model(f"{PLATFORM}/ears", lanes=[there]), there)
    painted = IMAGES.parse({"model": "ears", "prompt": "Fog"}, {})
    request = msgspec.structs.replace(painted, surface="transcriptions")
    worst = worst_by_tokens(request, most, prepared)
    heard = dearest_audio(request, most, prepared)
    quote = Quote(prepared, table, None, most, worst, worst, heard=heard)
    ledger: Any = SimpleNamespace(now_ms=lambda: 0)
    run: Any = SimpleNamespace(attempts=[], charges=[])
    return AttemptInFlight(ledger, run, Reservation(quote, (), None, "none"))


@given(sound=COUNTS, text=COUNTS, out=COUNTS, standard=TIERS, long=TIERS, audio=PRICES)
def test_tokens_of_sound_make_a_request_long(
    sound: int, text: int, out: int, standard: Tier, long: Tier, audio: int
) -> None:
    table = PriceTable(
        standard=standard,
        long_context=LongContext(above_tokens=2000, tier=long),
        units=[UnitPrice(meter="audio_input", price=audio)],
    )
    most = TokenBound(input=sound + text, output=out)
    tier = long if sound + text > 2000 else standard
    billed = Fraction(sound * audio + text * tier.input + out * tier.output, 1_000_000)
    answered, lost = attempt_of(table, most), attempt_of(table, most)
    answered.answered(Usage(input=sound + text, output=out), audio=sound)
    assert billed <= answered.draft.cost_nano < billed + 3, "each line is rounded up once"
    assert not answered.overran
    lost.lost("cut", "nobody knows")
    assert billed <= lost.draft.cost_nano + 3
    assert lost.draft.cost_nano <= lost.draft.quote.worst_nano

"""Ten thousand flipped bits, and envelopes that are unsigned, older or foreign: each is refused,
with its reason, and the one in force stays."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_snapshot import codec, envelope
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.envelope import EnvelopeError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = envelope.trust(KEY.public_key(), Ed25519PrivateKey.generate().public_key())
FLIPS = 10_000


def test_ten_thousand_flipped_bits_are_refused_each_with_its_reason(
    snapshot: wire.Snapshot,
) -> None:
    sealed = envelope.seal(
        KEY, fleet="prod", generation=7, payload=codec.encode(snapshot), min_generation=3
    )
    data = envelope.encode(sealed)
    envelope.open_sealed(data, TRUSTED, "prod")
    random_ = random.Random(5)
    places: dict[str, int] = {}
    for bit in random_.sample(range(len(data) * 8), min(FLIPS, len(data) * 8)):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeError) as caught:
            envelope.open_sealed(bytes(altered), TRUSTED, "prod")
        assert caught.value.reason
        assert len(str(caught.value)) < 2_000
        place = caught.value.path
        places[place] = places.get(place, 0) + 1
    assert sum(places.values()) >= min(FLIPS, len(data) * 8)
    assert {"$", "$.version"} <= places.keys()

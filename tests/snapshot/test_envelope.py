"""The envelope: only what this fleet's key signed, for this fleet, unchanged to the last bit."""

import hashlib
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_snapshot import codec, envelope, signing_keys
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.envelope import EnvelopeError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = envelope.trust(KEY.public_key())


def sealed(snapshot: wire.Snapshot, generation: int = 7, min_generation: int = 0) -> bytes:
    made = envelope.seal(
        KEY,
        fleet="prod",
        generation=generation,
        payload=codec.encode(snapshot),
        min_generation=min_generation,
    )
    return envelope.encode(made)


def test_an_envelope_opens_to_the_snapshot_that_was_sealed(snapshot: wire.Snapshot) -> None:
    opened, found = envelope.open_sealed(sealed(snapshot), TRUSTED, "prod")
    assert found == snapshot
    assert (opened.fleet, opened.generation) == ("prod", 7)
    assert opened.version == codec.version(codec.encode(snapshot))


def test_the_signature_is_ed25519_over_canonical_json(snapshot: wire.Snapshot) -> None:
    """Written out, so that another implementation could verify it by the documentation alone."""
    document = json.loads(sealed(snapshot))
    version = hashlib.sha256(document["snapshot"].encode()).hexdigest()
    signed = f'{{"fleet":"prod","generation":7,"version":"{version}"}}'
    KEY.public_key().verify(bytes.fromhex(document["signature"]), signed.encode())


def test_the_lower_bound_is_signed_too(snapshot: wire.Snapshot) -> None:
    document = json.loads(sealed(snapshot, 7, min_generation=5))
    signed = {"fleet": "prod", "generation": 7, "min_generation": 5, "version": document["version"]}
    text = json.dumps(signed, separators=(",", ":"))
    KEY.public_key().verify(bytes.fromhex(document["signature"]), text.encode())
    opened, _ = envelope.open_sealed(json.dumps(document).encode(), TRUSTED, "prod")
    assert opened.min_generation == 5


@pytest.mark.parametrize("forged", [0, 4, 6, None])
def test_a_lower_bound_that_was_changed_or_taken_out_is_refused(
    snapshot: wire.Snapshot, forged: int | None
) -> None:
    document = json.loads(sealed(snapshot, 7, min_generation=5))
    if forged is None:
        del document["min_generation"]
    else:
        document["min_generation"] = forged
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(json.dumps(document).encode(), TRUSTED, "prod")
    assert caught.value.path == "$.signature"


@pytest.mark.parametrize("bound", [-1, 8, 2**63])
def test_a_lower_bound_above_its_own_generation_makes_no_sense(
    snapshot: wire.Snapshot, bound: int
) -> None:
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(sealed(snapshot, 7, min_generation=bound), TRUSTED, "prod")
    assert caught.value.path == "$.min_generation"


def test_a_key_is_named_by_the_first_half_of_its_digest() -> None:
    raw = KEY.public_key().public_bytes_raw()
    assert envelope.key_id(KEY.public_key()) == hashlib.sha256(raw).hexdigest()[:16]


def test_equal_input_is_sealed_to_equal_bytes(snapshot: wire.Snapshot) -> None:
    assert sealed(snapshot) == sealed(snapshot)


def test_another_fleet_refuses_it(snapshot: wire.Snapshot) -> None:
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(sealed(snapshot), TRUSTED, "staging")
    assert caught.value.path == "$.fleet"


def test_a_key_that_nobody_trusts_is_refused(snapshot: wire.Snapshot) -> None:
    stranger = envelope.trust(Ed25519PrivateKey.generate().public_key())
    for trusted in ({}, stranger):
        with pytest.raises(EnvelopeError) as caught:
            envelope.open_sealed(sealed(snapshot), trusted, "prod")
        assert caught.value.path == "$.key_id"


def test_during_a_change_of_keys_both_are_trusted(snapshot: wire.Snapshot) -> None:
    both = envelope.trust(Ed25519PrivateKey.generate().public_key(), KEY.public_key())
    envelope.open_sealed(sealed(snapshot), both, "prod")


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("generation", 8, "$.signature"),
        ("generation", 0, "$.generation"),
        ("generation", -1, "$.generation"),
        ("generation", 2**63, "$.generation"),
        ("generation", "7", "$"),
        ("version", "0" * 64, "$.version"),
        ("signature", "", "$.signature"),
        ("signature", "0" * 128, "$.signature"),
        ("signature", "Z" * 128, "$.signature"),
        ("snapshot", "{}", "$.version"),
        ("snapshot", 5, "$"),
        ("extra", 1, "$"),
    ],
)
def test_a_changed_field_is_refused_with_its_path(
    snapshot: wire.Snapshot, field: str, value: object, path: str
) -> None:
    document = json.loads(sealed(snapshot)) | {field: value}
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(json.dumps(document).encode(), TRUSTED, "prod")
    assert caught.value.path == path


def test_other_content_under_the_same_signature_is_refused(snapshot: wire.Snapshot) -> None:
    """Content and version changed together: only the signature stands against it."""
    other = codec.encode(msgspec.structs.replace(snapshot, budgets=snapshot.budgets, policies=[]))
    document = json.loads(sealed(snapshot))
    document |= {"snapshot": other.decode(), "version": codec.version(other)}
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(json.dumps(document).encode(), TRUSTED, "prod")
    assert caught.value.path == "$.signature"


def test_every_flipped_bit_is_refused(snapshot: wire.Snapshot) -> None:
    data = sealed(snapshot)
    for position in range(0, len(data), max(1, len(data) // 400)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(EnvelopeError):
                envelope.open_sealed(bytes(damaged), TRUSTED, "prod")


def test_every_truncation_is_refused(snapshot: wire.Snapshot) -> None:
    data = sealed(snapshot)
    for length in range(0, len(data), 97):
        with pytest.raises(EnvelopeError):
            envelope.open_sealed(data[:length], TRUSTED, "prod")


def test_a_signed_snapshot_is_checked_all_the_same() -> None:
    """The signature says who wrote it, not that it is right; the path leads into the snapshot."""
    payload = b'{"schema":3}'
    data = envelope.encode(envelope.seal(KEY, fleet="prod", generation=1, payload=payload))
    with pytest.raises(EnvelopeError) as caught:
        envelope.open_sealed(data, TRUSTED, "prod")
    assert caught.value.path == "$.snapshot.schema"


def test_an_envelope_beyond_the_bound_is_not_even_parsed() -> None:
    with pytest.raises(EnvelopeError, match="at most"):
        envelope.open_sealed(b" " * (envelope.MAX_BYTES + 1), TRUSTED, "prod")


def test_keys_survive_being_stored() -> None:
    private = signing_keys.load_private(signing_keys.private_pem(KEY))
    public = signing_keys.load_public(signing_keys.public_pem(KEY.public_key()))
    assert private.private_bytes_raw() == KEY.private_bytes_raw()
    assert envelope.key_id(public) == envelope.key_id(KEY.public_key())


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN", b"secret-material"])
def test_what_is_no_key_is_refused_without_repeating_it(pem: bytes) -> None:
    for load in (signing_keys.load_private, signing_keys.load_public):
        with pytest.raises(ValueError, match="is not an Ed25519") as caught:
            load(pem)
        assert pem == b"" or pem.decode() not in str(caught.value)

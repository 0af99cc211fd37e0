"""What an API server publishes of its keys: which are taken, and for how long one is kept."""

from typing import Any

import pytest

from signalbox_operator.issuer_keys import GRACE_S, IssuerKeys, learned
from support.workload_tokens import ISSUER, TokenIssuer, web_key

CONFIGURATION = {"issuer": ISSUER, "jwks_uri": "https://x/openid/v1/jwks"}
ONE, TWO, CURVE = TokenIssuer("one"), TokenIssuer("two"), TokenIssuer("curve", "ES256")


def known(before: IssuerKeys, now: float, *signers: TokenIssuer) -> IssuerKeys:
    return learned(before, CONFIGURATION, {"keys": [web_key(each) for each in signers]}, now)


def test_keys_become_what_the_snapshot_tells() -> None:
    found = known(IssuerKeys(), 0, ONE, CURVE)
    (issuer,) = found.wire()
    assert (issuer.issuer, issuer.audience) == (ISSUER, "signalbox")
    assert issuer.keys == [CURVE.wire_key, ONE.wire_key]
    assert IssuerKeys().wire() == ()


def test_a_key_that_one_answer_lacks_is_kept_a_while_and_gone_then() -> None:
    """API servers of one cluster start with new keys one after the other."""
    both = known(known(IssuerKeys(), 0, ONE), 10, TWO)
    assert set(both.keys) == {"one", "two"}
    again = known(both, GRACE_S, TWO)
    assert set(again.keys) == {"one", "two"}
    assert set(known(again, GRACE_S + 1, TWO).keys) == {"two"}


def test_another_issuer_takes_nothing_over() -> None:
    before = known(IssuerKeys(), 0, ONE)
    keys = {"keys": [web_key(TWO)]}
    assert set(learned(before, {"issuer": "https://other"}, keys, 1).keys) == {"two"}


@pytest.mark.parametrize(
    "written",
    [
        {"use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kid": ""},
        {"kid": 5},
        {"n": "AQAB"},
        {"n": None},
        {"e": "AA"},
    ],
)
def test_keys_of_no_use_are_left_out(written: dict[str, Any]) -> None:
    keys = {"keys": [web_key(ONE, **written), web_key(TWO), "nothing", None]}
    assert set(learned(IssuerKeys(), CONFIGURATION, keys, 0).keys) == {"two"}


@pytest.mark.parametrize(
    ("configuration", "keys"),
    [({}, {"keys": []}), (CONFIGURATION, {}), (CONFIGURATION, {"keys": []}), ({"issuer": 5}, {})],
)
def test_an_answer_without_keys_is_an_error_so_that_what_was_known_stays(
    configuration: dict[str, Any], keys: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="API server publishes no"):
        learned(IssuerKeys(), configuration, keys, 0)

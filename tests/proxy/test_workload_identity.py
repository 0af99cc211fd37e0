"""ServiceAccounts as agents: whose token is taken, and everything that is 401 instead."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import msgspec
import pytest
from openai import AuthenticationError, OpenAI

from signalbox_proxy import workload_tokens
from signalbox_proxy.identity import Caller, identify
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.workload_tokens import MAX_REMEMBERED, MAX_TOKEN
from signalbox_snapshot import codec
from signalbox_snapshot.check import SnapshotError
from signalbox_snapshot.snapshot import ServiceAccount, Snapshot
from support.fleet import Fleet
from support.snapshots import key_of, snapshot
from support.workload_tokens import (
    ISSUER,
    UID,
    TokenIssuer,
    claims_of,
    issuer_of,
    unsigned,
)

NOW = 1_780_000_000
RSA, EC = TokenIssuer("rsa-1"), TokenIssuer("ec-1", "ES256")
STRANGER = TokenIssuer("rsa-1")


def with_workloads(given: Snapshot, **accounts: list[ServiceAccount]) -> Snapshot:
    """A snapshot whose agents (`retail_support` is retail/support) have these ServiceAccounts."""
    agents = [
        msgspec.structs.replace(
            agent, service_accounts=accounts.get(agent.id.replace("/", "_"), msgspec.UNSET)
        )
        for agent in given.agents
    ]
    return msgspec.structs.replace(given, agents=agents, issuers=[issuer_of(RSA, EC)])


def runner(uid: str = UID) -> list[ServiceAccount]:
    return [ServiceAccount(name="runner", uid=uid)]


def built(given: Snapshot) -> Runtime:
    payload = codec.encode(given)
    return Runtime.build(codec.decode(payload), version="v", generation=1)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return built(with_workloads(snapshot(), retail_support=runner()))


def asked(runtime: Runtime, token: str, now: int = NOW) -> Caller:
    return identify(runtime, f"Bearer {token}", "", now)


def refused(runtime: Runtime, token: str, now: int = NOW) -> str:
    with pytest.raises(Refusal) as caught:
        asked(runtime, token, now)
    assert caught.value.code == "unauthorized"
    return caught.value.message


@pytest.mark.parametrize("signer", [RSA, EC], ids=["RS256", "ES256"])
def test_a_projected_token_is_its_agent(runtime: Runtime, signer: TokenIssuer) -> None:
    caller = asked(runtime, signer.token("retail", "runner", now=NOW))
    assert (caller.agent.id, caller.key_name) == ("retail/support", "serviceAccount/runner")
    token = signer.token("retail", "runner", now=NOW)
    assert identify(runtime, "", token, NOW).agent.id == "retail/support"


CHANGED: dict[str, Callable[[], str]] = {
    "another namespace": lambda: RSA.token("wealth", "runner", now=NOW),
    "another account": lambda: RSA.token("retail", "other", now=NOW),
    "another audience": lambda: RSA.token("retail", "runner", now=NOW, aud=["api"]),
    "the API server's audience": lambda: RSA.token("retail", "runner", now=NOW, aud=[ISSUER]),
    "no audience": lambda: RSA.token("retail", "runner", now=NOW, aud=None),
    "another issuer": lambda: RSA.token("retail", "runner", now=NOW, iss="https://evil.example"),
    "no issuer": lambda: RSA.token("retail", "runner", now=NOW, iss=None),
    "no end": lambda: RSA.token("retail", "runner", now=NOW, exp=None),
    "an end that is text": lambda: RSA.token("retail", "runner", now=NOW, exp=str(NOW + 60)),
    "an end with a fraction": lambda: RSA.token("retail", "runner", now=NOW, exp=NOW + 60.5),
    "an end that is true": lambda: RSA.token("retail", "runner", now=NOW, exp=True),
    "an endless end": lambda: RSA.token("retail", "runner", now=NOW, exp=float("inf")),
    "not begun": lambda: RSA.token("retail", "runner", now=NOW, nbf=NOW + 600),
    "issued in the future": lambda: RSA.token("retail", "runner", now=NOW, iat=NOW + 600),
    "no subject": lambda: RSA.token("retail", "runner", now=NOW, sub=None),
    "a subject of somebody else": lambda: RSA.token(
        "retail", "runner", now=NOW, sub="system:serviceaccount:wealth:runner"
    ),
    "a subject alone": lambda: RSA.token("retail", "runner", now=NOW, **{"kubernetes.io": None}),
    "claims of another shape": lambda: RSA.token(
        "retail", "runner", now=NOW, **{"kubernetes.io": 5}
    ),
    "one that was deleted and made again": lambda: RSA.token(
        "retail", "runner", now=NOW, **{"kubernetes.io": said(uid="another")}
    ),
    "no uid": lambda: RSA.token("retail", "runner", now=NOW, **{"kubernetes.io": said(uid="")}),
    "a key of the same name": lambda: STRANGER.token("retail", "runner", now=NOW),
    "another key's name": lambda: RSA.token("retail", "runner", now=NOW, header={"kid": "ec-1"}),
    "a key nobody knows": lambda: RSA.token("retail", "runner", now=NOW, header={"kid": "x"}),
    "a path for a key": lambda: RSA.token(
        "retail", "runner", now=NOW, header={"kid": "../../dev/null"}
    ),
    "a huge name of a key": lambda: RSA.token(
        "retail", "runner", now=NOW, header={"kid": "k" * 6000}
    ),
    "a key of its own": lambda: STRANGER.token(
        "retail", "runner", now=NOW, header={"jwk": {"kty": "RSA"}, "jku": "https://evil.example"}
    ),
    "rules of its own": lambda: RSA.token("retail", "runner", now=NOW, header={"crit": ["x"]}),
    "no signature": lambda: unsigned(
        {"alg": "RS256", "kid": "rsa-1"}, claims_of("retail", "runner", NOW)
    ),
    "alg none": lambda: unsigned(
        {"alg": "none", "kid": "rsa-1"}, claims_of("retail", "runner", NOW)
    ),
    "alg None": lambda: unsigned(
        {"alg": "None", "kid": "rsa-1"}, claims_of("retail", "runner", NOW)
    ),
    "HS256 by the public key in PEM": lambda: by_public_key(RSA.public_pem),
    "HS256 by the public key in DER": lambda: by_public_key(RSA.public_der),
    "RS512 by the right key": lambda: jwt.encode(
        claims_of("retail", "runner", NOW), RSA.key, algorithm="RS512", headers={"kid": "rsa-1"}
    ),
    "PS256 by the right key": lambda: jwt.encode(
        claims_of("retail", "runner", NOW), RSA.key, algorithm="PS256", headers={"kid": "rsa-1"}
    ),
    "another body": lambda: respliced(1),
    "another header": lambda: respliced(0),
    "huge": lambda: RSA.token("retail", "runner", now=NOW, padding="x" * MAX_TOKEN),
    "no base64": lambda: "eyJ.!!!.???",
    "nothing": lambda: "eyJ..",
    "deep": lambda: "eyJ" + "." + base64.urlsafe_b64encode(b"[" * 4000).decode() + ".x",
}


def said(**changes: Any) -> Mapping[str, Any]:
    return {"namespace": "retail", "serviceaccount": {"name": "runner", "uid": UID} | changes}


def by_public_key(secret: bytes) -> str:
    claims = claims_of("retail", "runner", NOW)
    made = unsigned({"alg": "HS256", "kid": "rsa-1"}, claims).rstrip(".")
    digest = hmac.new(secret, made.encode(), hashlib.sha256).digest()
    return f"{made}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def respliced(part: int) -> str:
    one = RSA.token("retail", "runner", now=NOW).split(".")
    other = RSA.token("wealth", "runner", now=NOW, header={"typ": "at+jwt"}).split(".")
    one[part] = other[part]
    return ".".join(one)


@pytest.mark.parametrize("what", CHANGED)
def test_every_other_token_is_unauthorized(runtime: Runtime, what: str) -> None:
    assert "not one of this gateway" in refused(runtime, CHANGED[what]())


def test_a_token_that_has_ended_is_told_so_and_opens_nothing(runtime: Runtime) -> None:
    token = RSA.token("retail", "runner", now=NOW)
    assert "expired" in refused(runtime, token, NOW + 3600)
    assert asked(runtime, token, NOW + 3599)
    assert "expired" in refused(runtime, token, NOW + 3600), "remembered, and ended all the same"


def test_an_agent_that_lists_no_service_account_has_none(runtime: Runtime) -> None:
    without = built(with_workloads(snapshot()))
    assert refused(without, RSA.token("retail", "runner", now=NOW))


def test_keys_are_taken_beside_tokens(runtime: Runtime) -> None:
    assert asked(runtime, key_of("retail/support")).key_name == "k1"


def test_two_keys_are_accepted_while_the_issuer_changes_them() -> None:
    next_key = TokenIssuer("rsa-2")
    given = with_workloads(snapshot(), retail_support=runner())
    both = built(msgspec.structs.replace(given, issuers=[issuer_of(RSA, next_key)]))
    after = built(msgspec.structs.replace(given, issuers=[issuer_of(next_key)]))
    for signer in (RSA, next_key):
        assert asked(both, signer.token("retail", "runner", now=NOW))
    assert refused(after, RSA.token("retail", "runner", now=NOW))


def test_a_signature_is_checked_once_for_each_token_and_snapshot(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    decode = jwt.decode

    def counting(token: str, *rest: Any, **more: Any) -> Any:
        counted.append(token)
        return decode(token, *rest, **more)

    monkeypatch.setattr(workload_tokens.jwt, "decode", counting)
    token = RSA.token("retail", "runner", now=NOW, jti="once")
    for _ in range(50):
        asked(runtime, token)
    assert len(counted) == 1
    later = built(with_workloads(snapshot(), retail_support=runner("made-again")))
    assert refused(later, token), "what was remembered ends with its snapshot"


def test_what_is_remembered_is_bounded(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload_tokens, "MAX_REMEMBERED", 10)
    assert MAX_REMEMBERED <= 10_000
    for number in range(30):
        asked(runtime, EC.token("retail", "runner", now=NOW, jti=str(number)))
    assert len(runtime.workloads._remembered) <= 11


def test_one_service_account_cannot_stand_for_two_agents_in_any_snapshot() -> None:
    given = with_workloads(snapshot(), retail_support=runner())
    agents = [
        msgspec.structs.replace(agent, service_accounts=runner())
        if agent.id.startswith("retail/")
        else agent
        for agent in given.agents
    ]
    if sum(agent.id.startswith("retail/") for agent in agents) < 2:
        other = msgspec.structs.replace(agents[0], id="retail/aaa", service_accounts=runner())
        agents = sorted([other, *agents], key=lambda agent: agent.id)
    with pytest.raises(SnapshotError, match="another agent"):
        codec.decode(codec.encode(msgspec.structs.replace(given, agents=agents)))


@pytest.mark.parametrize(
    ("algorithm", "spki", "reason"),
    [
        ("RS256", "", "public key"),
        ("RS256", "AAAA", "public key"),
        ("ES256", RSA.wire_key.spki, "not a key for ES256"),
        ("RS256", EC.wire_key.spki, "not a key for RS256"),
    ],
)
def test_a_snapshot_with_a_key_that_verifies_nothing_is_refused(
    algorithm: Any, spki: str, reason: str
) -> None:
    key = msgspec.structs.replace(RSA.wire_key, algorithm=algorithm, spki=spki)
    issuer = msgspec.structs.replace(issuer_of(RSA), keys=[key])
    given = msgspec.structs.replace(snapshot(), issuers=[issuer])
    with pytest.raises(SnapshotError, match=reason) as caught:
        codec.decode(codec.encode(given))
    assert caught.value.path.startswith("$.issuers[0].keys[0]")


def test_a_symmetric_algorithm_is_not_even_a_word_of_the_snapshot() -> None:
    given = with_workloads(snapshot(), retail_support=runner())
    payload = codec.encode(given).replace(b'"RS256"', b'"HS256"')
    with pytest.raises(SnapshotError):
        codec.decode(payload)


def test_a_workload_asks_a_running_proxy_by_its_token_and_no_other_does(fleet: Fleet) -> None:
    fleet.push(with_workloads(snapshot(), retail_support=runner()))
    now = int(time.time())

    def ask(token: str) -> str:
        with OpenAI(base_url=fleet.openai_url, api_key=token, max_retries=0) as client:
            said = client.chat.completions.with_raw_response.create(
                model="mini", messages=[{"role": "user", "content": "hello"}]
            )
            return str(said.headers["x-signalbox-run-id"])

    token = RSA.token("retail", "runner", now=now)
    run = fleet.run(ask(token), agent_key=token)
    assert run["agent"] == "retail/support"
    for other in (
        RSA.token("wealth", "runner", now=now),
        RSA.token("retail", "runner", now=now, aud=["api"]),
        STRANGER.token("retail", "runner", now=now),
    ):
        with pytest.raises(AuthenticationError):
            ask(other)
    assert token not in fleet.proxies[0].log.read_text()
    fleet.push(with_workloads(snapshot(), retail_support=runner("made-again")))
    with pytest.raises(AuthenticationError):
        ask(token)

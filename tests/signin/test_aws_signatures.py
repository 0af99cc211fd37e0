"""Signatures are those that botocore makes; keys come from wherever a pod has them."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox_proxy.signin.aws import AwsSigner
from signalbox_proxy.signin.contract import Fetched, SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.sigv4 import AwsKeys, sign
from signalbox_snapshot.snapshot import Identity
from support.bedrock_conversations import bedrock_lane

NOW = 1_790_000_000
ROLE = "arn:aws:iam::123456789012:role/bedrock"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CALL = Unsigned(
    "POST",
    "https://bedrock-runtime.eu-central-1.amazonaws.com/model/a%3A0/converse",
    {"content-type": "application/json", "accept": "application/json", "traceparent": "00-1"},
    b'{"messages":[]}',
)


def by_botocore(call: Unsigned, keys: AwsKeys, region: str, service: str) -> dict[str, str]:
    """What botocore adds to the same call at the same instant."""
    signed = {n: v for n, v in call.headers.items() if n == "content-type" or n[:6] == "x-amz-"}
    request = AWSRequest(call.method, call.url, headers=signed, data=call.body)
    credentials = Credentials(keys.key_id, keys.secret, keys.token or None)
    instant = datetime.fromtimestamp(NOW, UTC)
    with patch("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: instant):
        SigV4Auth(credentials, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items() if name not in signed}


words = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
segments = st.lists(
    st.text(min_size=1, max_size=30)
    .filter(lambda text: text not in (".", "..") and not re.search("[\ud800-\udfff]", text))
    .map(lambda text: quote(text, safe="")),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(
    path=segments,
    body=st.binary(max_size=200),
    host=st.sampled_from(["a.amazonaws.com", "127.0.0.1:8080", "a.example:443", "[::1]:9"]),
    token=st.from_regex(r"[A-Za-z0-9+/=]{0,40}", fullmatch=True),
    names=st.tuples(words, words),
    header=st.from_regex(r"[!-~][ -~]{0,20}[!-~]", fullmatch=True),
)
def test_the_signature_is_the_one_that_botocore_makes(
    path: list[str], body: bytes, host: str, token: str, names: tuple[str, str], header: str
) -> None:
    call = Unsigned(
        "POST",
        f"https://{host}/{'/'.join(path)}",
        {"content-type": "application/json", "x-amz-target": header, "user-agent": "signalbox"},
        body,
    )
    keys = AwsKeys(KEY_ID, SECRET, token)
    region, service = names
    ours = sign(call, keys, region=region, service=service, now_s=NOW)
    assert ours == by_botocore(call, keys, region, service)


class Pod:
    """What a pod has, and token services that answer as told."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
        answers: list[Fetched] | None = None,
    ) -> None:
        self.environment = environment or {}
        self.files = dict(files or {})
        self.credentials = dict(credentials or {})
        self.answers = answers or []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    def _read(self, path: str) -> str:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    async def _fetch(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Fetched:
        self.asked.append((method, url, dict(headers), body))
        return self.answers.pop(0)

    def signer(self, key: str = "", role: str = "") -> AwsSigner:
        surroundings = Surroundings(self.environment, self._read, self.credentials.get, self._fetch)
        identity = Identity(role=role, region="eu-central-1")
        return AwsSigner(bedrock_lane(auth_key=key, identity=identity), surroundings)


def sts_answer(life_s: int = 3600, **changed: str) -> Fetched:
    values = {
        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": SECRET,
        "SessionToken": "FwoGZXIvYXdzE+/=",
        "Expiration": datetime.fromtimestamp(NOW + life_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    } | changed
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return Fetched(200, f"<R><Credentials>{inner}</Credentials></R>".encode())


IN_POD = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": ROLE}


async def test_a_pod_s_token_becomes_keys_that_sign_and_are_renewed_ahead_of_their_end() -> None:
    pod = Pod(IN_POD, {"/token": "eyJ.one\n"}, answers=[sts_answer(), sts_answer(7200)])
    signer = pod.signer()
    await signer.renew(NOW)
    assert signer.renew_at == NOW + 2700
    ((method, url, _, body),) = pod.asked
    assert (method, url) == ("POST", "https://sts.eu-central-1.amazonaws.com/")
    assert parse_qs(body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["signalbox"],
        "WebIdentityToken": ["eyJ.one"],
        "Version": ["2011-06-15"],
    }
    keys = AwsKeys("ASIAIOSFODNN7EXAMPLE", SECRET, "FwoGZXIvYXdzE+/=")
    assert signer.headers(CALL, NOW) == by_botocore(CALL, keys, "eu-central-1", "bedrock")
    pod.files["/token"] = "eyJ.two"
    await signer.renew(signer.renew_at)
    assert b"eyJ.two" in pod.asked[1][3]
    assert signer.headers(CALL, NOW + 7199)
    with pytest.raises(SignInError):
        signer.headers(CALL, NOW + 7200)


async def test_a_renewal_that_fails_leaves_the_keys_until_their_end() -> None:
    pod = Pod(IN_POD, {"/token": "eyJ"}, answers=[sts_answer(), Fetched(403, b"secret text")])
    signer = pod.signer()
    await signer.renew(NOW)
    with pytest.raises(SignInError, match="403") as refused:
        await signer.renew(NOW + 2700)
    assert "secret" not in str(refused.value)
    assert signer.headers(CALL, NOW + 3599)


async def test_a_lane_s_role_and_endpoint_come_before_the_pod_s_own() -> None:
    environment = IN_POD | {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1/", "AWS_ROLE_ARN": "other"}
    pod = Pod(environment, {"/token": "eyJ"}, answers=[sts_answer()])
    await pod.signer(role=ROLE).renew(NOW)
    ((_, url, _, body),) = pod.asked
    assert url == "http://127.0.0.1:1/"
    assert parse_qs(body.decode())["RoleArn"] == [ROLE]


async def test_a_pair_in_the_credentials_folder_signs_and_is_read_again() -> None:
    pod = Pod(IN_POD, credentials={"aws": f"{KEY_ID}:{SECRET}"})
    signer = pod.signer("aws")
    await signer.renew(NOW)
    assert pod.asked == []
    expected = by_botocore(CALL, AwsKeys(KEY_ID, SECRET), "eu-central-1", "bedrock")
    assert signer.headers(CALL, NOW) == expected
    pod.credentials["aws"] = f"AKIAOTHEROTHEROTHER0:{SECRET}"
    assert signer.renew_at <= NOW + 60
    await signer.renew(signer.renew_at)
    assert "AKIAOTHEROTHEROTHER0" in signer.headers(CALL, NOW)["authorization"]


async def test_a_pair_may_assume_a_role() -> None:
    pod = Pod(credentials={"aws": f"{KEY_ID}:{SECRET}"}, answers=[sts_answer()])
    signer = pod.signer("aws", ROLE)
    await signer.renew(NOW)
    ((_, url, headers, body),) = pod.asked
    sent = Unsigned("POST", url, {"content-type": headers.pop("content-type")}, body)
    assert headers == by_botocore(sent, AwsKeys(KEY_ID, SECRET), "eu-central-1", "sts")
    assert "ASIAIOSFODNN7EXAMPLE" in signer.headers(CALL, NOW)["authorization"]


async def test_pod_identity_gives_keys_by_the_agent_of_its_node() -> None:
    answer = {
        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": SECRET,
        "Token": "token/+=",
        "Expiration": datetime.fromtimestamp(NOW + 600, UTC).isoformat(),
    }
    pod = Pod(
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/agent",
        },
        {"/agent": "agent-token"},
        answers=[Fetched(200, json.dumps(answer).encode())],
    )
    signer = pod.signer()
    await signer.renew(NOW)
    assert pod.asked == [
        (
            "GET",
            "http://169.254.170.23/v1/credentials",
            {"authorization": "agent-token"},
            b"",
        )
    ]
    assert signer.renew_at == NOW + 450
    assert signer.headers(CALL, NOW)["x-amz-security-token"] == "token/+="


CONTAINER = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


@pytest.mark.parametrize(
    ("pod", "key", "why"),
    [
        (Pod(), "", "needs an identity"),
        (Pod({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, {"/t": "eyJ"}), "", "needs a role"),
        (Pod(IN_POD), "", "AWS_WEB_IDENTITY_TOKEN_FILE cannot be read"),
        (Pod(IN_POD, {"/token": "a\nb"}), "", "holds no token"),
        (Pod(IN_POD, {"/token": "eyJ"}, answers=[Fetched(200, b"<html>")]), "", "no keys"),
        (Pod(IN_POD, {"/token": "e"}, answers=[sts_answer(Expiration="soon")]), "", "no keys"),
        (Pod(IN_POD, {"/token": "e"}, answers=[sts_answer(SessionToken="a\r\nb")]), "", "no keys"),
        (Pod(), "aws", "credential aws is missing"),
        (Pod(credentials={"aws": "sk-only"}), "aws", "is not KEYID:SECRET"),
        (Pod({CONTAINER: "http://example.com/"}), "", "not an address of this host"),
        (
            Pod({CONTAINER: "http://127.0.0.1/"}, answers=[Fetched(200, b"[]")]),
            "",
            "has no keys",
        ),
        (Pod({CONTAINER: "http://[::1]/"}, answers=[Fetched(500, b"")]), "", "answered 500"),
    ],
)
async def test_what_is_missing_is_named(pod: Pod, key: str, why: str) -> None:
    signer = pod.signer(key)
    with pytest.raises(SignInError, match=re.escape(why)):
        await signer.renew(NOW)
    with pytest.raises(SignInError, match="no valid keys"):
        signer.headers(CALL, NOW)


async def test_no_secret_is_shown() -> None:
    pod = Pod(credentials={"aws": f"{KEY_ID}:{SECRET}"})
    signer = pod.signer("aws")
    await signer.renew(NOW)
    shown: Any = (signer, AwsKeys(KEY_ID, SECRET, "token"))
    assert SECRET not in repr(shown)
    assert "token" not in repr(shown)

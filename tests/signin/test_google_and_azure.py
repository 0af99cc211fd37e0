"""Google and Entra, asked as they are: their services' rules, real keys, no clock waited for."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import crypt, jwt

from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.signin.azure import AzureSigner
from signalbox_proxy.signin.contract import Fetched, SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.google import GoogleSigner
from signalbox_proxy.signin.identities import Identities
from signalbox_proxy.signin.surroundings import surroundings_of
from signalbox_simulator.process import SimulatorProcess
from signalbox_snapshot.snapshot import Identity, Lane

ROBOT = "robot@shop.iam.gserviceaccount.com"
OTHER = "judge@shop.iam.gserviceaccount.com"
POD_TOKEN = "header.of-the-pod.signature"
VERTEX = "europe-west4-aiplatform.googleapis.com"
CALL = Unsigned("POST", "https://x", {}, b"")
NOW = 1_790_000_000


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def key_file(key: rsa.RSAPrivateKey) -> dict[str, str]:
    """A service account's key as Google's console gives it out."""
    return {
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "0123",
        "private_key": pem_of(key),
        "client_email": ROBOT,
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.fixture(scope="module")
def clouds(key_file: dict[str, str]) -> Iterator[SimulatorProcess]:
    secrets = {"robot": json.dumps(key_file), "pod": POD_TOKEN, "app": "a-client-secret"}
    with SimulatorProcess(credentials=secrets) as running:
        yield running


def lane(auth: Any, key_name: str = "", **identity: str) -> Lane:
    return Lane(
        name="eu",
        lane_class="regional",
        provider=auth,
        wire_format="gemini",
        upstream_model="gemini-3-flash-preview",
        endpoint=f"https://{VERTEX}/v1/projects/p/locations/europe-west4",
        auth=auth,
        auth_key=key_name,
        region="europe-west4",
        jurisdiction="NL",
        max_sensitivity=2,
        list_price=None,
        price=None,
        identity=Identity(**identity),
    )


def at_home(folder: Path, environment: Mapping[str, str], **credentials: str) -> Surroundings:
    """The surroundings of a real process."""
    for name, value in credentials.items():
        (folder / name).write_text(value)
    store = CredentialStore(folder)
    store.refresh(credentials)
    return surroundings_of(environment, store)


class Recorder:
    """Answers as told and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Fetched:
        self.asked.append((method, url, dict(headers), body))
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Fetched(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def around(self, files: Mapping[str, str] | None = None, **environment: str) -> Surroundings:
        def read(path: str) -> str:
            if path not in (files or {}):
                raise FileNotFoundError(path)
            return (files or {})[path]

        return Surroundings(environment, read, (files or {}).get, self)


def granted(token: str = "t", seconds: int = 3600) -> tuple[int, object]:
    return 200, {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}


def hello(clouds: SimulatorProcess, headers: Mapping[str, str]) -> httpx.Response:
    path = "/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash"
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    url = f"{clouds.base_url(VERTEX)}{path}:generateContent"
    return httpx.post(url, json=body, headers=dict(headers), timeout=60)


def federation(clouds: SimulatorProcess, token_file: Path, **more: object) -> str:
    return json.dumps(
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{clouds.base_url('sts.googleapis.com')}/v1/token",
            "credential_source": {"file": str(token_file)},
            **more,
        }
    )


async def test_a_key_file_becomes_a_token_that_vertex_takes(
    clouds: SimulatorProcess, key_file: dict[str, str], tmp_path: Path
) -> None:
    document = key_file | {"token_uri": f"{clouds.base_url('oauth2.googleapis.com')}/token"}
    around = at_home(tmp_path, {}, google=json.dumps(document, indent=2))
    signer = GoogleSigner(lane("google", "google"), around)
    now = int(time.time())
    await signer.renew(now)
    assert hello(clouds, signer.headers(CALL, now)).status_code == 200
    assert clouds.bill()[-1]["credential"] == ROBOT
    assert now + 2600 < signer.renew_at < now + 3600, "renewed ahead of its end"


async def test_a_pods_own_token_is_exchanged_and_a_service_account_acted_as(
    clouds: SimulatorProcess, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(POD_TOKEN)
    iam = clouds.base_url("iamcredentials.googleapis.com")
    own = f"{iam}/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"
    document = federation(clouds, token_file, service_account_impersonation_url=own)
    configuration = tmp_path / "federation.json"
    configuration.write_text(document)
    environment = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(configuration),
        "GOOGLE_IAMCREDENTIALS_ENDPOINT": iam,
    }
    around = at_home(tmp_path, environment)
    now = int(time.time())
    for named, billed in (("", ROBOT), (OTHER, OTHER)):
        signer = GoogleSigner(lane("google", service_account=named), around)
        await signer.renew(now)
        assert hello(clouds, signer.headers(CALL, now)).status_code == 200
        assert clouds.bill()[-1]["credential"] == billed


async def test_on_gke_the_metadata_server_knows_who_the_pod_is(
    clouds: SimulatorProcess, tmp_path: Path
) -> None:
    host = clouds.base_url("metadata.google.internal").removeprefix("http://")
    signer = GoogleSigner(lane("google"), at_home(tmp_path, {"GCE_METADATA_HOST": host}))
    now = int(time.time())
    await signer.renew(now)
    assert hello(clouds, signer.headers(CALL, now)).status_code == 200
    assert clouds.bill()[-1]["credential"] == "pod"


async def test_entra_takes_the_pods_token_and_a_clients_secret(
    clouds: SimulatorProcess, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(POD_TOKEN)
    environment = {
        "AZURE_AUTHORITY_HOST": clouds.base_url("login.microsoftonline.com"),
        "AZURE_TENANT_ID": "tenant",
        "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
    }
    around = at_home(tmp_path, environment, app="a-client-secret", wrong="something else")
    scope = "https://cognitiveservices.azure.com/.default"
    now = int(time.time())
    for key_name in ("", "app"):
        signer = AzureSigner(lane("azure", key_name, client="app-id", scope=scope), around)
        await signer.renew(now)
        assert hello(clouds, signer.headers(CALL, now)).status_code == 200
        assert clouds.bill()[-1]["credential"] == "app-id"
    refused = AzureSigner(lane("azure", "wrong", client="app-id", scope=scope), around)
    with pytest.raises(SignInError, match="status 401"):
        await refused.renew(now)


async def test_the_assertion_is_one_that_googles_own_library_takes(
    key: rsa.RSAPrivateKey, key_file: dict[str, str]
) -> None:
    recorder = Recorder(granted())
    around = recorder.around({"google": json.dumps(key_file)})
    now = int(time.time())
    await GoogleSigner(lane("google", "google"), around).renew(now)
    ((method, url, headers, body),) = recorder.asked
    assert (method, url) == ("POST", "https://oauth2.googleapis.com/token")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (assertion,) = parse_qs(body.decode())["assertion"]
    claims = jwt.decode(assertion, certs=public, audience=url)
    assert claims["iss"] == ROBOT
    assert claims["exp"] - claims["iat"] == 3600
    assert crypt.verify_signature(
        assertion.rpartition(".")[0].encode(),
        base64.urlsafe_b64decode(assertion.rpartition(".")[2] + "=="),
        [public],
    )


async def test_a_token_is_held_until_its_end_and_no_longer() -> None:
    recorder = Recorder(granted("first"), granted("second"), (503, {}))
    signer = GoogleSigner(lane("google"), recorder.around())
    with pytest.raises(SignInError):
        signer.headers(CALL, NOW)
    await signer.renew(NOW)
    assert signer.headers(CALL, NOW) == {"authorization": "Bearer first"}
    assert signer.renew_at == NOW + 2700
    await signer.renew(NOW + 2700)
    assert signer.headers(CALL, NOW + 2700) == {"authorization": "Bearer second"}
    with pytest.raises(SignInError, match="status 503"):
        await signer.renew(NOW + 5400)
    assert signer.headers(CALL, NOW + 6299)["authorization"] == "Bearer second"
    with pytest.raises(SignInError, match="no valid token"):
        signer.headers(CALL, NOW + 6300)


async def test_identities_renew_in_the_background_and_requests_only_look() -> None:
    recorder = Recorder(granted("first"))
    identities = Identities(recorder.around())
    google = lane("google")
    await identities.renew_due([google, lane("google")], NOW)
    assert len(recorder.asked) == 1, "lanes of one identity share its token"
    for second in range(0, 2700, 300):
        await identities.renew_due([google], NOW + second)
        assert identities.headers(google, CALL, NOW + second)["authorization"] == "Bearer first"
    assert len(recorder.asked) == 1
    await identities.renew_due([google], NOW + 2700)
    assert len(recorder.asked) == 2


SECRET = "s3cret-and-long-enough-to-be-found"


def wrong_files(key_file: dict[str, str]) -> list[tuple[object, str]]:
    curve = pem_of(ec.generate_private_key(ec.SECP256R1()))
    exchange = {
        "type": "external_account",
        "audience": "a",
        "subject_token_type": "t",
        "token_url": "https://sts.googleapis.com/v1/token",
    }
    program = {"executable": {"command": "/bin/steal", "timeout_millis": 5000}}
    return [
        ("{", "not JSON"),
        ({"type": "authorized_user", "refresh_token": SECRET}, "not followed"),
        ({"type": "gdch_service_account"}, "not followed"),
        (key_file | {"private_key": SECRET}, "cannot be read"),
        (key_file | {"private_key": curve}, "not an RSA key"),
        (key_file | {"token_uri": "http://evil.example/token"}, "not https"),
        ({"type": "service_account", "private_key": SECRET}, "incomplete"),
        (exchange | {"credential_source": program}, "neither a file nor an address"),
        (exchange | {"credential_source": {"file": "/nowhere"}}, "cannot be read"),
        (exchange | {"credential_source": {"url": "http://evil.example"}}, "not https"),
        (exchange | {"credential_source": {"environment_id": "aws1"}}, "neither a file"),
    ]


async def test_files_that_lead_elsewhere_are_refused_and_told_without_their_secret(
    key_file: dict[str, str],
) -> None:
    for document, reason in wrong_files(key_file):
        text = document if isinstance(document, str) else json.dumps(document)
        recorder = Recorder(granted())
        signer = GoogleSigner(lane("google", "google"), recorder.around({"google": text}))
        with pytest.raises(SignInError, match=reason) as refused:
            await signer.renew(NOW)
        assert SECRET not in str(refused.value)
        assert not recorder.asked, "nobody was asked"


ANSWERS: list[tuple[int, object]] = [
    (200, b"<html>"),
    (200, {"access_token": "t"}),
    (200, {"access_token": "two\nlines", "expires_in": 5}),
    (200, {"access_token": "", "expires_in": 5}),
    (200, {"access_token": 5, "expires_in": 5}),
    (302, granted()[1]),
    (400, {"error": SECRET}),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
async def test_no_answer_of_a_token_service_is_believed_that_is_none(
    answer: tuple[int, object],
) -> None:
    signer = GoogleSigner(lane("google"), Recorder(answer).around())
    with pytest.raises(SignInError) as refused:
        await signer.renew(NOW)
    assert SECRET not in str(refused.value)
    with pytest.raises(SignInError):
        signer.headers(CALL, NOW)


async def test_a_token_of_an_account_acted_as_ends_when_it_says() -> None:
    ends = {"accessToken": "acting", "expireTime": "2026-09-21T15:46:40Z"}
    recorder = Recorder(granted("own"), (200, ends))
    signer = GoogleSigner(lane("google", service_account=OTHER), recorder.around())
    await signer.renew(NOW)
    url, headers = recorder.asked[1][1:3]
    assert url.startswith("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/")
    assert headers["authorization"] == "Bearer own"
    seconds = 1_790_005_600 - NOW
    assert signer.renew_at == NOW + seconds * 3 // 4
    for wrong in ("tomorrow", "2026-09-21T15:46:40", ""):
        broken = Recorder(granted("own"), (200, ends | {"expireTime": wrong}))
        with pytest.raises(SignInError):
            await GoogleSigner(lane("google", service_account=OTHER), broken.around()).renew(NOW)


async def test_nothing_that_holds_a_secret_shows_it(key_file: dict[str, str]) -> None:
    recorder = Recorder(granted(SECRET))
    around = recorder.around({"google": json.dumps(key_file)})
    signer = GoogleSigner(lane("google", "google"), around)
    await signer.renew(NOW)
    identities = Identities(around)
    for shown in (repr(signer), repr(around), repr(identities), repr(Fetched(200, b"x"))):
        assert SECRET not in shown
        assert "PRIVATE KEY" not in shown

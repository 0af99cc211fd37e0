"""What a lane's sign-in asks of its cloud, and the proof that its calls then carry."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from fields.chain import NOON, Ask, Company
from signalbox_proxy.signin.contract import Fetched, SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.identities import Identities

POD = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/pod/token",
    "AWS_ROLE_ARN": "arn:aws:iam::111111111111:role/pod",
    "AZURE_TENANT_ID": "pod-tenant",
    "AZURE_CLIENT_ID": "pod-client",
    "AZURE_FEDERATED_TOKEN_FILE": "/pod/token",
}
_STS = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>ASIAEXAMPLEEXAMPLE00</AccessKeyId>
<SecretAccessKey>secretsecretsecretsecretsecretsecretsecr</SecretAccessKey>
<SessionToken>session</SessionToken><Expiration>2026-05-01T13:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
_TOKEN = json.dumps({"access_token": "granted", "expires_in": 3600}).encode()
_ACTING = json.dumps({"accessToken": "acting", "expireTime": "2026-05-01T13:00:00Z"}).encode()


class Clouds:
    """The token services of all clouds; notes what they are asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Fetched:
        self.asked.append((url, dict(parse_qsl(body.decode()))))
        if "sts." in url:
            return Fetched(200, _STS.encode())
        return Fetched(200, _ACTING if "generateAccessToken" in url else _TOKEN)


def signed_in(company: Company, ask: Ask) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """What the clouds were asked for the first lane, and the `authorization` of its calls."""
    lane = company.runtime.models_by_name[ask.model].lanes[0].lane
    clouds = Clouds()
    secrets = {"first": "one", "second": "two"}
    identities = Identities(Surroundings(POD, lambda path: "pod-token", secrets.get, clouds))
    asyncio.run(identities.renew_due([lane], NOON))
    call = Unsigned("POST", lane.endpoint, {"host": "example.com"}, b"{}")
    try:
        proof = identities.headers(lane, call, NOON)
    except SignInError as error:
        return clouds.asked, str(error)
    return clouds.asked, {name.lower(): value for name, value in proof.items()}["authorization"]

"""LaneAuth: how a proxy proves to a provider who it is. Names credentials, never holds one."""

from enum import StrEnum
from typing import Final, Self

from pydantic import model_validator

from signalbox_api.base import Part, Rule
from signalbox_api.scalars import AwsRole, CredentialName, GrantScope, ServiceAccount, Word


class AuthType(StrEnum):
    """How the proxy authenticates to the provider."""

    API_KEY = "apiKey"
    NONE = "none"
    AWS = "aws"
    GOOGLE = "google"
    AZURE = "azure"


_KEY: Final = Rule(
    "self.type == 'apiKey' ? has(self.key) : (self.type != 'none' || !has(self.key))",
    "type and key do not fit; with apiKey write key, the name of a provider credential, with none"
    " leave key out",
)
_IDENTITY: Final = Rule(
    "(self.type == 'aws' || (!has(self.role) && !has(self.region)))"
    " && (self.type == 'google' || !has(self.serviceAccount))"
    " && (self.type == 'azure' || (!has(self.tenant) && !has(self.client) && !has(self.scope)))",
    "auth says whom to sign in as where its type does not; role and region go with aws,"
    " serviceAccount with google, tenant, client and scope with azure",
)


class LaneAuth(Part):
    """How the proxy authenticates to the provider. Names a credential, never holds one."""

    type: AuthType
    """apiKey: the key named below, in the header of the wire format. none: no credential. aws,
    google, azure: short-lived credentials of the cloud, by the identity that the proxy's pod has;
    renewed ahead of their end."""
    key: CredentialName | None = None
    """Name of the key in the provider credentials that proxies mount, such as anthropic. With aws,
    google and azure: a long-lived one that stands in for the pod's identity. Absent: the pod's."""
    role: AwsRole | None = None
    """With aws: ARN of the role to assume. Absent: the pod's own role."""
    region: Word | None = None
    """With aws: the region that calls are signed for. Absent: the lane's region."""
    service_account: ServiceAccount | None = None
    """With google: the service account to act as. Absent: the pod's own."""
    tenant: Word | None = None
    """With azure: the Entra tenant. Absent: the pod's own."""
    client: Word | None = None
    """With azure: the application's client id. Absent: the pod's own."""
    scope: GrantScope | None = None
    """With azure: what the token is for. Absent: https://cognitiveservices.azure.com/.default."""

    rules = (_KEY, _IDENTITY)

    @model_validator(mode="after")
    def _key_where_needed(self) -> Self:
        if self.type is AuthType.API_KEY:
            fits = self.key is not None
        else:
            fits = self.type is not AuthType.NONE or self.key is None
        if not fits:
            raise ValueError(_KEY.message)
        return self

    @model_validator(mode="after")
    def _identity_of_its_type(self) -> Self:
        told = {
            AuthType.AWS: (self.role, self.region),
            AuthType.GOOGLE: (self.service_account,),
            AuthType.AZURE: (self.tenant, self.client, self.scope),
        }
        for kind, values in told.items():
            if kind is not self.type and any(value is not None for value in values):
                raise ValueError(_IDENTITY.message)
        return self

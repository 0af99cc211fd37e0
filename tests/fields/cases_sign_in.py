"""Model: how its lanes sign in to their cloud."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.cases_models import MODEL
from fields.cases_owners import PLAIN
from fields.chain import Company
from fields.signing_in import signed_in

_OWN = "arn:aws:iam::222222222222:role/own"
_COGNITIVE = "https://cognitiveservices.azure.com/.default"


def signing_in(**auth: Any) -> dict[str, Any]:
    """A company whose first lane signs in."""
    return {f"{MODEL}: lanes.0.auth": auth}


def form(company: Company, name: str) -> str | None:
    """One field of what the cloud was asked first."""
    return signed_in(company, PLAIN)[0][0][1].get(name)


CASES = [
    Case(
        "Model.lanes[].auth.role",
        "this role is assumed, not the pod's own",
        MODEL,
        ABSENT,
        _OWN,
        lambda it: form(it, "RoleArn"),
        ("arn:aws:iam::111111111111:role/pod", _OWN),
        given=signing_in(type="aws"),
    ),
    Case(
        "Model.lanes[].auth.region",
        "calls are signed for this region, not for the lane's",
        MODEL,
        ABSENT,
        "eu-west-1",
        lambda it: signed_in(it, PLAIN)[1].split("/")[2],
        ("us-east", "eu-west-1"),
        given=signing_in(type="aws"),
    ),
    Case(
        "Model.lanes[].auth.serviceAccount",
        "calls are made as this account, not as the pod's",
        MODEL,
        ABSENT,
        "models@company.iam.gserviceaccount.com",
        lambda it: signed_in(it, PLAIN)[1],
        ("Bearer granted", "Bearer acting"),
        given=signing_in(type="google"),
    ),
    Case(
        "Model.lanes[].auth.tenant",
        "its Entra is asked, not the pod's",
        MODEL,
        ABSENT,
        "own-tenant",
        lambda it: signed_in(it, PLAIN)[0][0][0].split("/")[3],
        ("pod-tenant", "own-tenant"),
        given=signing_in(type="azure"),
    ),
    Case(
        "Model.lanes[].auth.client",
        "this application signs in, not the pod's",
        MODEL,
        ABSENT,
        "own-client",
        lambda it: form(it, "client_id"),
        ("pod-client", "own-client"),
        given=signing_in(type="azure"),
    ),
    Case(
        "Model.lanes[].auth.scope",
        "the token is for it",
        MODEL,
        ABSENT,
        "https://ai.azure.com/.default",
        lambda it: form(it, "scope"),
        (_COGNITIVE, "https://ai.azure.com/.default"),
        given=signing_in(type="azure"),
    ),
    Case(
        "Model.lanes[].auth.key",
        "a credential of that name stands in for the pod's identity",
        MODEL,
        ABSENT,
        "first",
        lambda it: (form(it, "client_assertion"), form(it, "client_secret")),
        (("pod-token", None), (None, "one")),
        given=signing_in(type="azure"),
    ),
]

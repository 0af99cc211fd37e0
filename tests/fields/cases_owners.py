"""Domain, Agent and DataAsset: who asks, who pays, what it saw."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.chain import NOON, PLATFORM, SIGNER, Ask
from signalbox_api.keys import adopt_key, new_key

DOMAIN, AGENT, ASSET = "Domain/retail/retail", "Agent/retail/search", "DataAsset/retail/ledger"
BOTH = ["mini/us", "mini/de"]
PLAIN = Ask()

FRESH = new_key("retail", "search", b"0123456789abcdef01234567")
OTHER = new_key("retail", "search", b"another-secret-of-24-byte")
ADOPTED = "sk-an-application-had-this-key-before-signalbox"
OLD = adopt_key("retail", "search", ADOPTED)
KEYS = f"{AGENT}: credentials.keys"
UNKNOWN = "The API key is not one of this gateway."
EXPIRED = (
    "Key k of agent retail/search has expired. Make a new one with `signalbox key new` and add "
    "its digest to the Agent."
)


def said(**named: str) -> Ask:
    return Ask(headers={f"x-signalbox-{name.replace('_', '-')}": v for name, v in named.items()})


def tool(name: str) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": name}}]}


CASES = [
    Case(
        "Domain.ownerTeam",
        "the run names the team that answers for it",
        DOMAIN,
        "retail",
        "shops",
        lambda it: it.record(PLAIN)["owner_team"],
        ("retail", "shops"),
    ),
    Case(
        "Domain.focusAccount",
        "the run is charged to the account",
        DOMAIN,
        "6410",
        "6411",
        lambda it: it.record(PLAIN)["focus_account"],
        ("6410", "6411"),
    ),
    Case(
        "Domain.defaultSensitivity",
        "without a class nothing runs",
        DOMAIN,
        ABSENT,
        "internal",
        lambda it: it.lanes(PLAIN),
        ("unclassified", BOTH),
    ),
    Case(
        "Domain.residency.jurisdictions",
        "Germany only removes the US lane",
        DOMAIN,
        ABSENT,
        ["DE"],
        lambda it: it.lanes(PLAIN),
        (BOTH, ["mini/de"]),
    ),
    Case(
        "Domain.parent",
        "the lock of the parent holds for the child",
        DOMAIN,
        f"{PLATFORM}/company",
        f"{PLATFORM}/europe",
        lambda it: it.lanes(PLAIN),
        (BOTH, ["mini/de"]),
        given={
            f"Domain/{PLATFORM}/europe": {
                "ownerTeam": "europe",
                "focusAccount": "6001",
                "residency": {"jurisdictions": ["EU"]},
                "allowedNamespaces": ["retail"],
            }
        },
    ),
    Case(
        "Domain.parent",
        "the budget of the parent holds for the child",
        DOMAIN,
        f"{PLATFORM}/company",
        f"{PLATFORM}/europe",
        lambda it: it.accounts(PLAIN),
        ([f"{PLATFORM}/day"], [f"{PLATFORM}/day", f"{PLATFORM}/europe"]),
        given={
            f"Domain/{PLATFORM}/europe": {
                "ownerTeam": "europe",
                "focusAccount": "6001",
                "allowedNamespaces": ["retail"],
            },
            f"Budget/{PLATFORM}/europe": {
                "scope": {"domain": "europe"},
                "limit": {"usd": "1"},
                "window": {"every": "day"},
            },
        },
    ),
    Case(
        "Domain.allowedNamespaces",
        "a namespace that is not admitted is refused by name",
        f"Domain/{PLATFORM}/company",
        ["retail", "wealth"],
        ["wealth"],
        lambda it: it.condition(DOMAIN, "Accepted"),
        ("True Accepted", "False RefNotPermitted"),
    ),
    Case(
        "Agent.domain",
        "another domain pays",
        AGENT,
        "retail",
        "outlet",
        lambda it: it.record(PLAIN)["focus_account"],
        ("6410", "6499"),
        given={
            "Domain/retail/outlet": {
                "parent": "retail",
                "ownerTeam": "outlet",
                "focusAccount": "6499",
            }
        },
    ),
    Case(
        "Agent.maxSensitivity",
        "what is above it is refused",
        AGENT,
        "confidential",
        "internal",
        lambda it: it.lanes(said(sensitivity="confidential")),
        (BOTH, "sensitivity_not_permitted"),
    ),
    Case(
        "Agent.defaults.workload",
        "the policy of the workload decides requests that name none",
        AGENT,
        ABSENT,
        "advice",
        lambda it: (it.lanes(PLAIN), it.record(PLAIN)["workload"]),
        ((BOTH, ""), (["pro/fr"], "advice")),
        given={"RoutePolicy/retail/p": {"match": {"workloads": ["advice"]}, "candidates": ["pro"]}},
    ),
    Case(
        "Agent.defaults.dataAssets",
        "every request touches the data and has its class",
        AGENT,
        ABSENT,
        ["ledger"],
        lambda it: [it.record(PLAIN)[name] for name in ("sensitivity", "data_assets")],
        (["internal", []], ["regulated", ["retail/ledger"]]),
        given={ASSET: {"domain": "retail", "sensitivity": "regulated"}},
    ),
    Case(
        "Agent.models.allow",
        "other models are refused",
        AGENT,
        ["mini", "pro"],
        ["pro"],
        lambda it: it.lanes(PLAIN),
        (BOTH, "model_not_permitted"),
    ),
    Case(
        "Agent.tools.allow",
        "other tools are refused",
        AGENT,
        ["quote", "trade"],
        ["quote"],
        lambda it: it.lanes(Ask(body=tool("trade"))),
        (BOTH, "tool_not_permitted"),
    ),
    Case(
        "Agent.credentials.keys[].name",
        "the name stands for the key wherever somebody is told of it",
        AGENT,
        "k",
        "laptop",
        lambda it: it.caller(FRESH.key),
        ("retail/search by k", "retail/search by laptop"),
        given={KEYS: [{"name": "k", "sha256": FRESH.sha256}]},
    ),
    Case(
        "Agent.credentials.keys[].sha256",
        "only the key of that digest opens",
        AGENT,
        OTHER.sha256,
        FRESH.sha256,
        lambda it: it.caller(FRESH.key),
        (UNKNOWN, "retail/search by k"),
        given={KEYS: [{"name": "k", "sha256": FRESH.sha256}]},
    ),
    Case(
        "Agent.credentials.keys[].lookup",
        "an adopted key is found by it",
        AGENT,
        ABSENT,
        OLD.lookup,
        lambda it: it.caller(ADOPTED),
        (UNKNOWN, "retail/search by k"),
        given={KEYS: [{"name": "k", "sha256": OLD.sha256}]},
    ),
    Case(
        "Agent.credentials.keys[].expiresAt",
        "from its instant on the key is refused",
        AGENT,
        "2026-05-01T12:00:01Z",
        "2026-05-01T12:00:00Z",
        lambda it: it.caller(FRESH.key),
        ("retail/search by k", EXPIRED),
        given={KEYS: [{"name": "k", "sha256": FRESH.sha256}]},
    ),
    Case(
        "Agent.credentials.serviceAccounts",
        "the token of a ServiceAccount that is listed opens like a key",
        AGENT,
        ["another"],
        ["runner"],
        lambda it: it.caller(SIGNER.token("retail", "runner", now=NOON)),
        (UNKNOWN, "retail/search by serviceAccount/runner"),
    ),
    Case(
        "DataAsset.domain",
        "the lock of the owner's domain binds who touches the data",
        ASSET,
        "retail",
        "german",
        lambda it: it.lanes(said(data_assets="ledger")),
        (BOTH, ["mini/de"]),
        given={
            ASSET: {"domain": "retail", "sensitivity": "internal"},
            "Domain/retail/german": {
                "parent": "retail",
                "ownerTeam": "german",
                "focusAccount": "6412",
                "residency": {"jurisdictions": ["DE"]},
            },
        },
    ),
    Case(
        "DataAsset.sensitivity",
        "regulated data leaves for cleared lanes only",
        ASSET,
        "internal",
        "regulated",
        lambda it: it.lanes(said(data_assets="ledger")),
        (BOTH, ["mini/de"]),
        given={
            ASSET: {"domain": "retail", "sensitivity": "internal"},
            f"Model/{PLATFORM}/mini: lanes.0.maxSensitivity": "confidential",
        },
    ),
    Case(
        "DataAsset.residency.jurisdictions",
        "the data's lock removes the US lane",
        ASSET,
        ABSENT,
        ["DE"],
        lambda it: it.lanes(said(data_assets="ledger")),
        (BOTH, ["mini/de"]),
        given={ASSET: {"domain": "retail", "sensitivity": "internal"}},
    ),
    Case(
        "DataAsset.location",
        "of lanes at one price the one beside the data is preferred",
        ASSET,
        ABSENT,
        "us-east",
        lambda it: it.lanes(said(data_assets="ledger")),
        (["mini/de", "mini/us"], ["mini/us", "mini/de"]),
        given={
            ASSET: {"domain": "retail", "sensitivity": "internal"},
            f"Model/{PLATFORM}/mini: lanes.1.price": ABSENT,
        },
    ),
    Case(
        "DataAsset.retention",
        "status shows it in days",
        ASSET,
        ABSENT,
        "7y",
        lambda it: it.statuses[ASSET]["retentionDays"],
        (None, 2555),
        given={ASSET: {"domain": "retail", "sensitivity": "internal"}},
    ),
]

"""ServiceAccounts of agents: which act, whose they are, what an earlier schema says instead."""

from typing import Any

import msgspec
import pytest

from signalbox_api import Agent, Domain, Resource
from signalbox_api.conditions import Reason
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.revocation import taken_away
from signalbox_snapshot import codec
from signalbox_snapshot.check import SnapshotError
from signalbox_snapshot.schemas import beyond, lower
from support.workload_tokens import TokenIssuer, issuer_of

PLATFORM = "signalbox-system"
ISSUER = issuer_of(TokenIssuer("k1", "ES256"))
CLUSTER = WorkloadIdentity((ISSUER,), {"retail/runner": "u-1", "wealth/runner": "u-2"})


def written(kind: type[Resource], name: str, namespace: str, **spec: Any) -> Resource:
    return kind.model_validate(
        {
            "kind": kind.__name__,
            "metadata": {"name": name, "namespace": namespace, "generation": 1},
            "spec": spec,
        }
    )


def agent(name: str, *accounts: str, namespace: str = "retail") -> Resource:
    credentials = {"serviceAccounts": list(accounts)}
    return written(
        Agent, name, namespace, domain="d", maxSensitivity="internal", credentials=credentials
    )


def domains() -> list[Resource]:
    root = {"ownerTeam": "t", "focusAccount": "1", "defaultSensitivity": "internal"}
    admits = {"allowedNamespaces": ["retail", "wealth"]}
    return [
        written(Domain, "d", PLATFORM, **root, **admits),
        *(
            written(Domain, "d", namespace, parent=f"{PLATFORM}/d", **root)
            for namespace in ("retail", "wealth")
        ),
    ]


def compiled(
    *agents: Resource,
    identity: WorkloadIdentity | None = CLUSTER,
    previous: Compilation | None = None,
) -> Compilation:
    return compile_objects(
        [*domains(), *agents],
        platform_namespace=PLATFORM,
        identity=identity,
        previous=previous.in_force if previous else None,
    )


def accounts(compilation: Compilation) -> dict[str, list[str]]:
    return {
        each.id: [f"{account.name} {account.uid}" for account in each.accounts]
        for each in compilation.snapshot.agents
    }


def reasons(compilation: Compilation, name: str) -> list[str]:
    return [
        f"{item.severity} {item.reason.value} {item.field}"
        for item in compilation.findings
        if item.name == name and "serviceAccounts" in item.field
    ]


def test_a_service_account_of_the_own_namespace_stands_for_its_agent_by_uid() -> None:
    made = compiled(agent("a", "runner"))
    assert accounts(made) == {"retail/a": ["runner u-1"]}
    assert made.snapshot.token_issuers == [ISSUER]
    assert codec.decode(codec.encode(made.snapshot)) == made.snapshot


def test_the_same_name_in_two_namespaces_are_two() -> None:
    made = compiled(agent("a", "runner"), agent("a", "runner", namespace="wealth"))
    assert accounts(made) == {"retail/a": ["runner u-1"], "wealth/a": ["runner u-2"]}


@pytest.mark.parametrize("name", ["wealth/runner", "wealth:runner", "../wealth/runner", "Runner"])
def test_another_namespace_cannot_even_be_written(name: str) -> None:
    with pytest.raises(ValueError, match="serviceAccounts"):
        agent("a", name)


def test_one_that_does_not_exist_stands_for_nobody_and_is_warned_of() -> None:
    made = compiled(agent("a", "missing"))
    assert accounts(made) == {"retail/a": []}
    assert reasons(made, "a") == ["warning RefNotFound spec.credentials.serviceAccounts[0]"]
    nowhere = compiled(agent("a", "runner"), identity=None)
    assert accounts(nowhere) == {"retail/a": []}
    assert reasons(nowhere, "a") == ["warning RefNotFound spec.credentials.serviceAccounts[0]"]


def test_two_agents_cannot_share_one_and_whoever_had_it_keeps_it() -> None:
    first = compiled(agent("b", "runner"))
    both = [agent("a", "runner"), agent("b", "runner")]
    then = compiled(*both, previous=first)
    for _ in range(3):
        assert accounts(then) == {"retail/a": [], "retail/b": ["runner u-1"]}
        assert reasons(then, "a") == ["error Duplicate spec.credentials.serviceAccounts[0]"]
        then = compiled(*both, previous=then)
    newcomers = compiled(*both)
    assert accounts(newcomers) == {"retail/a": ["runner u-1"], "retail/b": []}
    freed = compiled(agent("a", "runner"), agent("b"), previous=then)
    assert accounts(freed)["retail/a"] == ["runner u-1"]


def test_what_is_taken_out_is_revoked_at_once_even_where_the_update_is_refused() -> None:
    first = compiled(agent("a", "runner"))
    broken = written(
        Agent, "a", "retail", domain="missing", maxSensitivity="internal", credentials={}
    )
    then = compiled(broken, previous=first)
    assert then.states[broken.key].reason is Reason.REF_NOT_FOUND
    assert accounts(then) == {"retail/a": []}


@pytest.mark.parametrize(
    "now",
    [
        WorkloadIdentity((ISSUER,), {}),
        WorkloadIdentity((ISSUER,), {"retail/runner": "made-again"}),
        WorkloadIdentity((), {"retail/runner": "u-1"}),
        WorkloadIdentity((issuer_of(TokenIssuer("k1", "ES256")),), {"retail/runner": "u-1"}),
    ],
    ids=["deleted", "made again", "no issuer", "another key"],
)
def test_what_a_cluster_takes_back_counts_as_taken_away(now: WorkloadIdentity) -> None:
    before = compiled(agent("a", "runner")).snapshot
    after = compiled(agent("a", "runner"), identity=now).snapshot
    assert taken_away(before, after)
    assert not taken_away(before, before)


def test_a_proxy_of_the_release_before_is_told_what_it_can_read_and_the_rest_is_named() -> None:
    whole = compiled(agent("a", "runner"), agent("b")).snapshot
    lowered = lower(whole, 1)
    assert [(each.kind, each.id) for each in lowered.unsupported] == [
        ("", ""),
        ("Agent", "retail/a"),
    ]
    assert list(beyond(lowered.snapshot)) == []
    payload = codec.encode(lowered.snapshot)
    assert b"service_accounts" not in payload
    assert b"issuers" not in payload
    assert b'"schema":1' in payload
    assert codec.decode(payload) == lowered.snapshot
    assert lower(whole, whole.schema).snapshot is whole
    with pytest.raises(ValueError, match="schema 7"):
        lower(whole, 7)


def test_schema_1_with_a_word_of_schema_2_is_refused_by_its_path() -> None:
    whole = compiled(agent("a", "runner")).snapshot
    with pytest.raises(SnapshotError) as caught:
        codec.decode(codec.encode(msgspec.structs.replace(whole, schema=1)))
    assert caught.value.path == "$.issuers"

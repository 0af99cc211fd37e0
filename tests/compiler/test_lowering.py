"""A fleet of two releases is told what all of it can read; what waits says so, and fails closed."""

import msgspec

from signalbox_api import Agent, Domain, ResourceKey, RoutePolicy
from signalbox_api.conditions import Reason
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.control_port import ProxyStatus
from signalbox_operator.lowering import lowered, lowest_schema
from signalbox_snapshot import codec
from signalbox_snapshot.policy import combine
from signalbox_snapshot.prices import UnitPrice
from signalbox_snapshot.schemas import lower
from signalbox_snapshot.snapshot import SCHEMA, Snapshot
from support.snapshots import policy, snapshot
from support.workload_tokens import TokenIssuer, issuer_of


def proxy(*schemas: int) -> ProxyStatus:
    return ProxyStatus(name="p", ready=True, schemas=schemas)


def test_the_lowest_schema_that_lives_is_emitted() -> None:
    assert lowest_schema([]) == SCHEMA
    assert lowest_schema([proxy(2, 1), proxy(2, 1)]) == 2
    assert lowest_schema([proxy(2, 1), proxy(1)]) == 1
    assert lowest_schema([proxy(3, 2), proxy(2, 1)]) == 2
    assert lowest_schema([proxy(4, 3), proxy(2, 1)]) == 2
    assert ProxyStatus(name="of the release before", ready=True).schemas == (1,)


def in_a_cluster() -> Compilation:
    """An agent that a ServiceAccount stands for."""
    spec = {"ownerTeam": "t", "focusAccount": "1", "defaultSensitivity": "internal"}
    asks = {"domain": "d", "maxSensitivity": "internal"}
    asks |= {"credentials": {"serviceAccounts": ["runner"]}}
    written = [
        kind.model_validate({"kind": kind.__name__, "metadata": metadata, "spec": each})
        for kind, metadata, each in (
            (Domain, {"name": "d", "namespace": "platform", "generation": 1}, spec),
            (Agent, {"name": "a", "namespace": "platform", "generation": 1}, asks),
        )
    ]
    identity = WorkloadIdentity((issuer_of(TokenIssuer("k", "ES256")),), {"platform/runner": "u"})
    return compile_objects(written, platform_namespace="platform", identity=identity)


def with_units(given: Snapshot) -> Snapshot:
    """Every lane of the first model has a price for images besides."""
    model = given.models[0]
    lanes = []
    for lane in model.lanes:
        assert lane.price is not None
        price = msgspec.structs.replace(lane.price, units=[UnitPrice(meter="images", price=5)])
        lanes.append(msgspec.structs.replace(lane, price=price))
    return msgspec.structs.replace(
        given, models=[msgspec.structs.replace(model, lanes=lanes), *given.models[1:]]
    )


def test_a_price_that_cannot_be_said_is_none_and_never_a_part_of_it() -> None:
    """Else a proxy of the release before would bill by tokens alone what bills by images too."""
    made = lower(with_units(snapshot()), 1)
    for lane in made.snapshot.models[0].lanes:
        assert (lane.price, lane.list_price) == (None, None)
    assert made.snapshot.models[1:] == lower(snapshot(), 1).snapshot.models[1:]
    assert codec.decode(codec.encode(made.snapshot)) == made.snapshot


def test_what_may_not_be_cached_is_refused_where_nobody_can_be_told_so() -> None:
    """A proxy of the release before passes the client's cache points on to providers. No policy
    that is more specific opens what is closed."""
    given = [
        policy("retail/a", prompt_caching="Off", lane_classes=["managed"]),
        policy("retail/b", candidates=["asked"], rank=[1, 0, 0, 0, 0], prompt_caching="Place"),
    ]
    made = lower(snapshot(policies=given), 1)
    closed, other = made.snapshot.policies
    narrowed = combine(made.snapshot.policies).constraints.lane_classes
    assert narrowed is not None
    assert narrowed.allowed == frozenset()
    assert narrowed.excluding("managed") == ("retail/a",)
    assert closed == policy("retail/a", lane_classes=[])
    assert other == policy("retail/b", candidates=["asked"], rank=[1, 0, 0, 0, 0])
    assert [(each.id, each.refuses) for each in made.unsupported] == [
        ("retail/a", True),
        ("retail/b", False),
    ]
    assert codec.decode(codec.encode(made.snapshot)) == made.snapshot


def test_a_proxy_of_the_release_before_lets_nothing_be_stored_and_closes_nothing_for_it() -> None:
    given = [
        policy("retail/a", response_storage="Allow"),
        policy("retail/b", response_storage="Never"),
    ]
    made = lower(snapshot(policies=given), 1)
    assert made.snapshot.policies == [policy("retail/a"), policy("retail/b")]
    assert [(each.id, each.path, each.refuses) for each in made.unsupported] == [
        ("retail/a", "$.policies[0].response_storage", False)
    ]


def test_a_dry_run_that_would_forbid_caching_closes_nothing() -> None:
    trial = policy("retail/a", prompt_caching="Off", enforcement="DryRun")
    made = lower(snapshot(policies=[trial]), 1)
    assert made.snapshot.policies == [policy("retail/a", enforcement="DryRun")]
    assert [each.refuses for each in made.unsupported] == [False]


def test_a_policy_that_closes_until_the_upgrade_says_so() -> None:
    written = RoutePolicy.model_validate(
        {
            "kind": "RoutePolicy",
            "metadata": {"name": "p", "namespace": "retail", "generation": 1},
            "spec": {"promptCaching": "Off"},
        }
    )
    told = lowered(compile_objects([written], platform_namespace="platform"), 1)
    state = told.states[ResourceKey("RoutePolicy", "retail", "p")]
    assert state.reason is Reason.UNSUPPORTED_BY_FLEET
    assert "what it matches is refused" in state.findings[-1].text


def test_what_is_new_to_nobody_is_the_same_in_both_schemas() -> None:
    made = lower(snapshot(), 1)
    assert made.unsupported == ()
    assert codec.encode(made.snapshot) == codec.encode(snapshot()).replace(
        b'"schema":2', b'"schema":1'
    )


def test_an_object_that_waits_for_the_upgrade_says_so() -> None:
    workloads = in_a_cluster()
    told = lowered(workloads, 1)
    (state,) = [state for key, state in told.states.items() if key.kind == "Agent"]
    assert state.reason is Reason.UNSUPPORTED_BY_FLEET
    assert state.serving_generation == 1
    (finding,) = [item for item in told.findings if item.reason is Reason.UNSUPPORTED_BY_FLEET]
    assert "service_accounts" in finding.message
    assert not finding.refuses
    assert lowered(workloads, SCHEMA) is workloads

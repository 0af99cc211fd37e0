"""The loader and the API server refuse the same objects.

Cases are made two ways: by hand for each rule, and by breaking every field of a complete object
in every way that its schema forbids.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from signalbox_api.base import Part, Resource, Rule
from signalbox_api.crd import definition
from signalbox_api.kinds import KINDS
from signalbox_api.load import read_object

GONE = object()


class Case(NamedTuple):
    """A complete object of a kind, changed at some places. `refusal` is a part of the message."""

    kind: str
    changes: dict[str, Any]
    refusal: str | None = None
    name: str = "example"

    def __str__(self) -> str:
        said = ",".join(f"{path}={_short(value)}" for path, value in self.changes.items())
        return f"{self.kind}:{said or self.name}"


_SCOPE = "scope names none or several"
_LIMIT = "limit names none or several"
_COUNT = "count does not divide the calendar"
_LANE = "the lane is incomplete"
_FROM = "from leads nowhere"
_OPEN = "endpoint is not encrypted"
_AUTH = "type and key do not fit"
_IDENTITY = "auth says whom to sign in as where its type does not"

RULES = [
    *(Case(kind, {}) for kind in KINDS),
    Case("Agent", {}, "metadata.name must be a DNS label", name="a.b"),
    Case("Budget", {}, "metadata.name must be a DNS label", name="a" * 64),
    Case("Budget", {}, name="a" * 63),
    Case("Model", {}, name="gpt-4.1-mini"),
    Case("Model", {}, "metadata.name does not fit a Model", name="auto"),
    Case("Model", {}, "metadata.name does not fit a Model", name="asked"),
    Case("Model", {}, "metadata.name does not fit a Model", name="m" * 64),
    # Budget
    Case("Budget", {"spec.scope": {"all": True}}),
    Case("Budget", {"spec.scope": {"agent": "other/bot"}}),
    Case("Budget", {"spec.scope": {"workload": "advice"}}),
    Case("Budget", {"spec.scope": {}}, _SCOPE),
    Case("Budget", {"spec.scope": {"all": True, "agent": "bot"}}, _SCOPE),
    Case("Budget", {"spec.scope": {"all": False}}, "spec.scope"),
    Case("Budget", {"spec.limit": {}}, _LIMIT),
    Case("Budget", {"spec.limit": {"usd": "1", "tokens": 1}}, _LIMIT),
    Case("Budget", {"spec.limit": {"usd": 0}}),
    Case("Budget", {"spec.limit": {"usd": 5}}),
    Case("Budget", {"spec.limit": {"usd": "0.000000001"}}),
    Case("Budget", {"spec.limit": {"usd": "0.0000000001"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "999999999.999999999"}}),
    Case("Budget", {"spec.limit": {"usd": "1000000000"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": 1000000000}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "-1"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": -1}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": 0.25}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "1e3"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "01"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "1."}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "1\n"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"usd": "١"}}, "spec.limit.usd"),
    Case("Budget", {"spec.limit": {"tokens": 5}, "spec.maxPerRequest": {"tokens": 1}}),
    Case("Budget", {"spec.limit": {"requests": 5}, "spec.maxPerRequest": GONE}),
    Case("Budget", {"spec.limit": {"requests": 5}}, "maxPerRequest is not in the unit of limit"),
    Case("Budget", {"spec.limit": {"tokens": 5}}, "maxPerRequest is not in the unit of limit"),
    Case("Budget", {"spec.maxPerRequest": {}}, "maxPerRequest names none or both"),
    Case("Budget", {"spec.per": GONE}, "whenMissing means nothing here"),
    Case("Budget", {"spec.per": "agent"}, "whenMissing means nothing here"),
    Case(
        "Budget",
        {"spec.per": "agent", "spec.whenMissing": GONE, "spec.maxNewSubjectsPerAgent": GONE},
    ),
    Case(
        "Budget",
        {"spec.per": "agent", "spec.whenMissing": GONE},
        "maxNewSubjectsPerAgent means nothing here",
    ),
    Case("Budget", {"spec.maxNewSubjectsPerAgent": 0}, "spec.maxNewSubjectsPerAgent"),
    Case("Budget", {"spec.maxNewSubjectsPerAgent": 10_000_001}, "spec.maxNewSubjectsPerAgent"),
    Case("Budget", {"spec.onExhausted": "cheaperLane"}, "spec.onExhausted"),
    *(
        Case("Budget", {"spec.window": {"every": "minute", "count": count}}, refusal)
        for count in range(31)
        for refusal in ["spec.window.count" if count == 0 else None if 60 % count == 0 else _COUNT]
    ),
    *(
        Case("Budget", {"spec.window": {"every": "hour", "count": count}}, refusal)
        for count in range(1, 25)
        for refusal in [None if 24 % count == 0 and count < 24 else _COUNT]
    ),
    *(
        Case(
            "Budget",
            {"spec.window": {"every": every, "count": count}},
            (count > 1 and _COUNT) or None,
        )
        for every in ("day", "week", "month", "quarter", "lifetime")
        for count in (1, 2)
    ),
    # Model
    Case("Model", {"spec.price": GONE}),
    Case("Model", {"spec.price.input": "0"}),
    Case("Model", {"spec.price.input": 0}),
    Case("Model", {"spec.price.output": GONE}, "price.output is missing"),
    Case("Model", {"spec.price.output": GONE, "spec.capabilities": ["embeddings"]}),
    Case("Model", {"spec.price.input": GONE}, "price.input is missing"),
    Case("Model", {"spec.price.input": GONE, "spec.capabilities": ["embeddings"]}, "price.input"),
    Case("Model", {"spec.price.input": GONE, "spec.capabilities": ["speech", "rerank"]}),
    *(
        Case("Model", {"spec.price": price, "spec.capabilities": [able]}, refusal)
        for able, unit, by_unit in (
            ("imageGeneration", "perImage", [{"price": "0.04"}]),
            ("transcription", "perMinute", "0.006"),
        )
        for price, refusal in (
            ({"input": "5"}, "price.output is missing"),
            ({"input": "5", "output": "0"}, None),
            ({"input": "5", unit: by_unit}, None),
            ({unit: by_unit}, None),
        )
    ),
    Case(
        "Model",
        {
            "spec.price": {"input": "5", "perMinute": "0.006"},
            "spec.capabilities": ["imageGeneration", "transcription"],
        },
        "price.output is missing",
    ),
    Case("Model", {"spec.aliases": GONE}),
    Case("Model", {"spec.aliases": ["auto"]}, "auto and asked have a meaning of their own"),
    Case("Model", {"spec.aliases": ["x", "asked"]}, "auto and asked have a meaning of their own"),
    Case("Model", {"spec.limits.maxOutputTokens": 1_000_001}, "maxOutputTokens is above"),
    Case("Model", {"spec.limits.defaultOutputTokens": 64_001}, "defaultOutputTokens is above"),
    Case("Model", {"spec.limits.maxOutputTokens": GONE}, "limits.maxOutputTokens is missing"),
    Case("Model", {"spec.limits.tokensPerImage": GONE}, "limits.tokensPerImage is missing"),
    Case("Model", {"spec.limits.overhead": GONE}),
    Case("Model", {"spec.limits.overhead": {"perTool": 0}}),
    Case("Model", {"spec.quality.byWorkload": {"-": "1"}}, "a key of byWorkload is no workload"),
    Case(
        "Model", {"spec.quality.byWorkload": {"a" * 64: "1"}}, "a key of byWorkload is no workload"
    ),
    Case("Model", {"spec.quality.byWorkload": {"a": "1.1"}}, "spec.quality.byWorkload"),
    Case("Model", {"spec.quality.default": "1.0"}),
    Case("Model", {"spec.quality.default": 1}),
    Case("Model", {"spec.quality.default": 2}, "spec.quality.default"),
    Case("Model", {"spec.quality.default": "1.000001"}, "spec.quality.default"),
    Case("Model", {"spec.deprecation": {}}, "deprecation says nothing"),
    Case("Model", {"spec.deprecation": {"at": "2027-05-01"}}, "spec.deprecation.at"),
    Case("Model", {"spec.deprecation": {"at": "2027-13-01T00:00:00Z"}}, "spec.deprecation.at"),
    Case("Model", {"spec.deprecation": {"at": "2027-05-01T02:00:00+02:00"}}),
    Case("Model", {"spec.lanes[1].price": {}}, "price says nothing"),
    Case("Model", {"spec.lanes[1].price": {"multiplier": "0.5"}}),
    Case("Model", {"spec.lanes[1].price.regionalPremium": "-0.1"}, "regionalPremium"),
    Case("Model", {"spec.lanes[1].from": "eu"}, _FROM),
    Case("Model", {"spec.lanes[1].from": "batch"}, _FROM),
    Case("Model", {"spec.lanes[0].from": "batch"}, _FROM),
    Case("Model", {"spec.lanes[1].name": "us"}, "spec.lanes"),
    *(
        Case("Model", {f"spec.lanes[0].{field}": GONE}, _LANE)
        for field in (
            "class",
            "provider",
            "wireFormat",
            "upstreamModel",
            "endpoint",
            "auth",
            "region",
            "jurisdiction",
            "maxSensitivity",
        )
    ),
    Case("Model", {"spec.lanes[0].jurisdiction": "EU"}, "spec.lanes[0].jurisdiction"),
    Case("Model", {"spec.lanes[0].auth": {"type": "none"}}),
    Case("Model", {"spec.lanes[0].auth": {"type": "none", "key": "k"}}, _AUTH),
    Case("Model", {"spec.lanes[0].auth": {"type": "apiKey"}}, _AUTH),
    *(
        Case("Model", {"spec.lanes[0].auth": {"type": kind} | said}, refusal)
        for kind, said, refusal in (
            ("aws", {}, None),
            ("aws", {"key": "k"}, None),
            ("aws", {"role": "arn:aws:iam::123456789012:role/r", "region": "eu-west-1"}, None),
            ("aws", {"tenant": "t"}, _IDENTITY),
            ("google", {"serviceAccount": "a@b.iam.gserviceaccount.com"}, None),
            ("google", {"role": "arn:aws:iam::123456789012:role/r"}, _IDENTITY),
            ("azure", {"tenant": "t", "client": "c", "scope": "api://x/.default"}, None),
            ("azure", {"serviceAccount": "a@b.iam.gserviceaccount.com"}, _IDENTITY),
            ("apiKey", {"key": "k", "region": "eu-west-1"}, _IDENTITY),
            ("none", {"scope": "api://x/.default"}, _IDENTITY),
        )
    ),
    *(
        Case("Model", {"spec.lanes[0].endpoint": endpoint}, refusal)
        for endpoint, refusal in (
            ("https://api.example.com:8443/v1", None),
            ("http://vllm", None),
            ("http://vllm:8000/v1", None),
            ("http://vllm.models.svc:8000", None),
            ("http://vllm.models.svc.cluster.local/v1", None),
            ("http://localhost:8000", None),
            ("http://127.0.0.1:8000", None),
            ("http://127.0.0.2:8000", _OPEN),
            ("http://api.example.com", _OPEN),
            ("http://svc.example.com", _OPEN),
            ("http://x.svc.example.com", _OPEN),
            ("http://example.com/.svc", _OPEN),
            ("ftp://vllm", "endpoint"),
            ("https://user@api.example.com", "endpoint"),
            ("https://api.example.com?x=1", "endpoint"),
            ("https://api.example.com#x", "endpoint"),
            ("https://", "endpoint"),
            ("https://api.example.com/\n", "endpoint"),
        )
    ),
    # the others
    Case("Agent", {"spec.credentials": {"keys": []}}),
    Case("Agent", {"spec.models": {"allow": []}}),
    Case("Agent", {"spec.tools": {}}, "spec.tools.allow"),
    Case("Agent", {"spec.credentials.keys[0].sha256": "F" * 64}, "sha256"),
    Case("Domain", {"spec.residency": {"jurisdictions": ["UK"]}}, "jurisdictions"),
    Case("Domain", {"spec.residency": {"jurisdictions": []}}, "jurisdictions"),
    Case("Domain", {"spec.parent": "a/b/c"}, "spec.parent"),
    Case("Domain", {"spec.ownerTeam": "two\nlines"}, "spec.ownerTeam"),
    Case("DataAsset", {"spec.retention": "0d"}, "spec.retention"),
    Case("DataAsset", {"spec.retention": "7 years"}, "spec.retention"),
    Case("RoutePolicy", {"spec.candidates": ["auto"]}, "candidates names Models"),
    Case("RoutePolicy", {"spec.match.domains": []}, "spec.match.domains"),
    Case("RoutePolicy", {"spec": {}}),
]

CHANGES = [
    ({"spec.limit.usd": "5"}, None),
    ({"spec.enforcement": "Enforce", "spec.warnAtPercent": [10]}, None),
    ({"spec.whenMissing": "share"}, None),
    ({"spec.scope": {"domain": "retail"}}, "scope cannot be changed"),
    ({"spec.scope": {"agent": "bot"}}, "scope cannot be changed"),
    ({"spec.per": "session"}, "per cannot be changed"),
    ({"spec.maxNewSubjectsPerAgent": GONE, "spec.onExhausted": "Refuse"}, None),
    (
        {"spec.per": GONE, "spec.whenMissing": GONE, "spec.maxNewSubjectsPerAgent": GONE},
        "per cannot be changed",
    ),
    (
        {"spec.limit": {"tokens": 5}, "spec.maxPerRequest": GONE},
        "the unit of limit cannot be changed",
    ),
    ({"spec.window.count": 10}, "window cannot be changed"),
    ({"spec.window.timeZone": GONE}, "window cannot be changed"),
    ({"spec.window.every": "day", "spec.window.count": 1}, "window cannot be changed"),
]

# The API server does not look at the type of a list where a string has a format.
# https://github.com/kubernetes/kube-openapi/blob/master/pkg/validation/validate/type.go
ACCEPTED_BY_MISTAKE: list[tuple[str, Any]] = [
    ("spec.credentials.keys[0].expiresAt", []),
    ("spec.deprecation.at", []),
]


def _short(value: object) -> str:
    return "gone" if value is GONE else repr(value)[:40].replace("\n", "")


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in path.split("."):
        name, *indexes = part.replace("]", "").split("[")
        steps += [name, *(int(index) for index in indexes)]
    return steps


def _changed(manifest: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        *before, last = _steps(path)
        here: Any = result
        for step in before:
            here = here[step]
        if value is GONE:
            del here[last]
        else:
            here[last] = value
    return result


def _built(complete: Callable[[str], dict[str, Any]], case: Case) -> dict[str, Any]:
    manifest = _changed(complete(case.kind), case.changes)
    manifest["metadata"]["name"] = case.name
    return manifest


def _loader_says(manifest: dict[str, Any]) -> list[str]:
    result = read_object(copy.deepcopy(manifest))
    return [] if isinstance(result, Resource) else [str(problem) for problem in result]


def _broken(schema: dict[str, Any], value: Any) -> Iterator[Any]:
    """Values that the schema of a field forbids."""
    if schema.get("x-kubernetes-int-or-string"):
        yield from (True, 0.5, "x", "-1", -1, "9" * 30, schema["maximum"] + 1, [], {})
        return
    match schema["type"]:
        case "string":
            yield from (1, True, [], {}, "", "\x00", "x" * (schema.get("maxLength", 600) + 1))
            if "enum" in schema:
                yield from ("nonsense", schema["enum"][0].swapcase())
        case "integer":
            yield from (True, "1", 1.5, [], schema["minimum"] - 1, schema["maximum"] + 1)
        case "boolean":
            yield from (1, "true", [])
        case "array":
            may_repeat = schema["x-kubernetes-list-type"] == "atomic"
            yield from ("a", {}, [[]], value * 600)
            yield from [] if may_repeat else [[*value, *copy.deepcopy(value)]]
            if schema.get("minItems"):
                yield []
        case "object":
            yield from ("a", [], 1)
            if "properties" in schema:
                yield {**value, "unknownField": 1}
                yield from (
                    {k: v for k, v in value.items() if k != name}
                    for name in schema.get("required", ())
                )


def _walk(path: str, schema: dict[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    yield from ((path, broken) for broken in _broken(schema, value))
    if isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name) or schema["additionalProperties"]
            if "." not in name:
                yield from _walk(f"{path}.{name}", inner, item)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(f"{path}[{index}]", schema["items"], item)


def _schema(kind: str) -> dict[str, Any]:
    version = definition(KINDS[kind])["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


@pytest.fixture(scope="module")
def verdicts(
    judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> list[list[str]]:
    return judge({"new": _built(complete, case)} for case in RULES)


def test_the_complete_examples_use_every_field(complete: Callable[[str], dict[str, Any]]) -> None:
    def unused(path: str, schema: dict[str, Any], values: Sequence[Any]) -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            found = [value[name] for value in values if name in value]
            if not found and f"{path}.{name}" not in {
                "Budget.scope.all",
                "Budget.scope.agent",
                "Budget.scope.workload",
                "Budget.limit.tokens",
                "Budget.limit.requests",
                "Budget.maxPerRequest.tokens",
            }:
                yield f"{path}.{name}"
            yield from unused(f"{path}.{name}", inner, found)
        if schema.get("items", {}).get("properties"):
            yield from unused(
                f"{path}[]", schema["items"], [item for value in values for item in value]
            )

    for kind in KINDS:
        assert list(unused(kind, _schema(kind), [complete(kind)["spec"]])) == []


@pytest.mark.parametrize("case", RULES, ids=str)
def test_the_loader_says_what_the_rule_says(
    case: Case, complete: Callable[[str], dict[str, Any]]
) -> None:
    said = _loader_says(_built(complete, case))
    if case.refusal is None:
        assert said == []
    else:
        assert said


@pytest.mark.parametrize("number", range(len(RULES)), ids=[str(case) for case in RULES])
def test_the_api_server_says_what_the_rule_says(number: int, verdicts: list[list[str]]) -> None:
    refusal, said = RULES[number].refusal, "; ".join(verdicts[number])
    if refusal is None:
        assert said == ""
    else:
        assert refusal in said


def test_a_budget_keeps_the_meaning_of_its_account(
    judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> None:
    old = complete("Budget")
    said = judge({"old": old, "new": _changed(old, changes)} for changes, _ in CHANGES)
    for (changes, refusal), errors in zip(CHANGES, said, strict=True):
        assert bool(errors) == (refusal is not None), (changes, errors)
        assert (refusal or "") in "; ".join(errors), (changes, errors)


def test_a_window_written_with_or_without_its_defaults_is_the_same(
    judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> None:
    short = _changed(complete("Budget"), {"spec.window": {"every": "day"}})
    full = _changed(short, {"spec.window": {"every": "day", "count": 1, "timeZone": "UTC"}})
    assert judge([{"old": short, "new": full}, {"old": full, "new": short}]) == [[], []]


def _all_rules() -> list[Rule]:
    def parts(of: type[Part]) -> Iterator[type[Part]]:
        for part in of.__subclasses__():
            yield part
            yield from parts(part)

    rules = [rule for part in parts(Part) for rule in part.rules]
    return rules + [kind.resource.name_rule for kind in KINDS.values()]


def test_every_rule_has_an_accepted_and_a_refused_example() -> None:
    refusals = [case.refusal for case in RULES] + [refusal for _, refusal in CHANGES]
    used = [refusal for refusal in refusals if refusal]
    assert len(_all_rules()) > 20
    for rule in _all_rules():
        assert any(refusal in rule.message for refusal in used), rule.message


def test_every_rule_says_what_to_write_instead() -> None:
    for rule in _all_rules():
        wrong, _, instead = rule.message.partition("; ")
        assert wrong, rule.message
        assert instead, rule.message


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_api_server_refuses_in_a_field_the_loader_refuses_too(
    kind: str, judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> None:
    manifest = complete(kind)
    changes = list(_walk("spec", _schema(kind), manifest["spec"]))
    broken = [_changed(manifest, {path: value}) for path, value in changes]
    assert len(broken) > 40
    for (path, value), new, errors in zip(
        changes, broken, judge({"new": new} for new in broken), strict=True
    ):
        assert errors or (path, value) in ACCEPTED_BY_MISTAKE, (path, _short(value))
        assert _loader_says(new), (path, _short(value), errors)


def _variants(path: str, schema: dict[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    """Every field left out, and every number and length at its bounds: valid or not."""
    yield path, GONE
    if schema.get("type") == "integer":
        yield from ((path, schema[bound]) for bound in ("minimum", "maximum"))
    if schema.get("x-kubernetes-int-or-string"):
        yield from ((path, number) for number in (0, 1, "0", "1", "0.1", schema["maximum"]))
    if isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name) or schema["additionalProperties"]
            yield from _variants(f"{path}.{name}", inner, item)
    if isinstance(value, list):
        yield path, []
        for index, item in enumerate(value):
            yield from _variants(f"{path}[{index}]", schema["items"], item)


@pytest.mark.parametrize("kind", KINDS)
def test_both_think_the_same_of_every_field_left_out_or_at_its_bounds(
    kind: str, judge: Callable[..., list[list[str]]], complete: Callable[[str], dict[str, Any]]
) -> None:
    manifest = complete(kind)
    spec = _schema(kind)
    changes = [
        change
        for name, value in manifest["spec"].items()
        for change in _variants(f"spec.{name}", spec["properties"][name], value)
    ]
    varied = [_changed(manifest, {path: value}) for path, value in changes]
    accepted = 0
    for (path, value), new, errors in zip(
        changes, varied, judge({"new": new} for new in varied), strict=True
    ):
        said = _loader_says(new)
        assert bool(said) == bool(errors), (path, _short(value), said, errors)
        accepted += not errors
    assert accepted > 2

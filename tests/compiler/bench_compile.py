"""How long a large fleet takes to compile: `python tests/compiler/bench_compile.py`.

Prints the median and the best of several runs in seconds, and the size of the snapshot.
"""

import statistics
import time

from signalbox_api import KINDS, Resource
from signalbox_operator.compiler import compile_objects
from signalbox_snapshot import codec

PLATFORM = "signalbox-system"


def resource(kind: str, name: str, namespace: str, spec: dict) -> Resource:
    """One object as a manifest would give it."""
    return KINDS[kind].resource.model_validate(
        {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    )


def _models(count: int) -> list[Resource]:
    places = (("us", "public", "US"), ("eu", "regional", "DE"), ("own", "sovereign", "FR"))
    lanes = [
        {
            "name": name,
            "class": lane_class,
            "provider": "openai",
            "wireFormat": "openai",
            "upstreamModel": "upstream",
            "endpoint": f"https://{name}.example.com/v1",
            "auth": {"type": "apiKey", "key": "openai"},
            "region": name,
            "jurisdiction": country,
            "maxSensitivity": "regulated",
            "price": {"regionalPremium": "0.10"},
        }
        for name, lane_class, country in places
    ]
    return [
        resource(
            "Model",
            f"model-{number}",
            PLATFORM,
            {
                "aliases": [f"alias-{number}-{other}" for other in range(3)],
                "capabilities": ["chat", "tools"],
                "limits": {"contextTokens": 200_000, "maxOutputTokens": 64_000},
                "quality": {"default": "0.8"},
                "price": {"input": "1.25", "output": "10"},
                "lanes": lanes,
            },
        )
        for number in range(count)
    ]


def _policies(count: int, teams: int) -> list[Resource]:
    return [
        resource(
            "RoutePolicy",
            f"policy-{number}",
            f"team-{number % teams}" if number % 3 else PLATFORM,
            {
                "match": {"workloads": [f"workload-{number % 40}"], "models": ["auto"]}
                if number % 2
                else {"sensitivities": ["internal"]},
                "constraints": {"laneClasses": ["public", "regional"], "maxUsd": "0.05"},
                "candidates": [f"model-{(number + other) % 200}" for other in range(5)],
                "objective": "cheapest",
            },
        )
        for number in range(count)
    ]


def large_fleet(agents: int = 500, models: int = 200, policies: int = 300) -> list[Resource]:
    """500 agents with a budget each, 200 models of 3 lanes, 300 policies, 25 teams."""
    teams = 25
    names = [f"team-{number}" for number in range(teams)]
    objects = [
        resource(
            "Domain",
            "company",
            PLATFORM,
            {"ownerTeam": "it", "focusAccount": "1", "allowedNamespaces": names},
        ),
        *(
            resource(
                "Domain",
                "team",
                name,
                {"ownerTeam": name, "focusAccount": "2", "parent": f"{PLATFORM}/company"},
            )
            for name in names
        ),
    ]
    for number in range(agents):
        namespace = names[number % teams]
        key = {"name": "k1", "sha256": f"{number:064x}"}
        objects += [
            resource(
                "Agent",
                f"agent-{number}",
                namespace,
                {"domain": "team", "maxSensitivity": "internal", "credentials": {"keys": [key]}},
            ),
            resource(
                "Budget",
                f"budget-{number}",
                namespace,
                {
                    "scope": {"agent": f"agent-{number}"} if number % 2 else {"domain": "team"},
                    "limit": {"usd": "5"},
                    "window": {"every": "day"},
                },
            ),
        ]
    return [*objects, *_models(models), *_policies(policies, teams)]


def main() -> None:
    """Measures and prints."""
    objects = large_fleet()
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        compilation = compile_objects(objects, platform_namespace=PLATFORM)
        payload = codec.encode(compilation.snapshot)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    codec.decode(payload)
    print(f"objects={len(objects)}")
    print(f"snapshot_bytes={len(payload)}")
    print(f"compile_median_s={statistics.median(seconds):.3f}")
    print(f"compile_best_s={min(seconds):.3f}")
    print(f"decode_s={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()

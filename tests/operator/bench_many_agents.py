"""Ten thousand agents: how long compiling and releasing takes, how large it gets, what it costs.

    .venv/bin/python tests/operator/bench_many_agents.py [--agents 10000]

Pure parts are timed in this process; memory is the highest that it needed. Run it alone.
"""

import argparse
import asyncio
import hashlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / each) for each in ("crds", "operator", "proxy", "tests")]

import msgspec  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402

from signalbox_api import KINDS  # noqa: E402
from signalbox_operator.compiler import compile_objects  # noqa: E402
from signalbox_operator.difference import difference  # noqa: E402
from signalbox_operator.head_file import FileHeadStore  # noqa: E402
from signalbox_operator.history import Record, next_release  # noqa: E402
from signalbox_operator.inventory import Inventory  # noqa: E402
from signalbox_operator.listing import Listing  # noqa: E402
from signalbox_operator.wanted import objects_to_compile, written_forms  # noqa: E402
from signalbox_proxy.runtime import Runtime  # noqa: E402
from signalbox_snapshot import codec  # noqa: E402
from signalbox_snapshot.envelope import encode, open_sealed, seal, trust  # noqa: E402
from support.company import chat_model, manifest  # noqa: E402

Answer = TypeVar("Answer")


def company(agents: int) -> list[dict[str, Any]]:
    """One domain for every 100 agents, a budget for each domain and one for all."""
    model = chat_model("small", "api.mistral.ai", "eu", "FR")
    everything = {"scope": {"all": True}, "limit": {"usd": "9000"}, "window": {"every": "day"}}
    made = [model, manifest("Budget", "signalbox-system", "all", everything)]
    for number in range(max(1, agents // 100)):
        owner = {"ownerTeam": "t", "focusAccount": "1", "defaultSensitivity": "internal"}
        scope = {"scope": {"domain": f"d{number}"}, "limit": {"usd": "90"}}
        scope["window"] = {"every": "day"}
        made.append(manifest("Domain", "signalbox-system", f"d{number}", owner))
        made.append(manifest("Budget", "signalbox-system", f"b{number}", scope))
    for number in range(agents):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        spec = {
            "domain": f"d{number // 100}",
            "maxSensitivity": "internal",
            "defaults": {"workload": "chat"},
            "credentials": {"keys": [{"name": "k1", "sha256": digest}]},
        }
        made.append(manifest("Agent", "signalbox-system", f"agent-{number}", spec))
    for version, item in enumerate(made):
        item["metadata"] |= {"resourceVersion": str(version + 1), "generation": 1}
    return made


def timed(what: str, work: Callable[[], Answer]) -> Answer:
    began = time.perf_counter()
    answer = work()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what:44} {time.perf_counter() - began:7.2f} s   highest memory {memory:5} MiB")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=10_000)
    agents = parser.parse_args().agents
    items = company(agents)
    inventory = Inventory()

    def listed() -> None:
        for kind in KINDS:
            of_kind = tuple(item for item in items if item["kind"] == kind)
            inventory.listed(kind, Listing(of_kind, "999999"))

    timed(f"read {len(items):,} objects", listed)
    objects = objects_to_compile(inventory.known(), {})
    made = timed("compile", lambda: compile_objects(objects, platform_namespace="signalbox-system"))
    again = timed(
        "compile again, with forms in force",
        lambda: compile_objects(
            objects, platform_namespace="signalbox-system", previous=made.in_force
        ),
    )
    payload = timed("encode", lambda: codec.encode(again.snapshot))
    snapshot = timed("decode and check", lambda: codec.decode(payload))
    forms = timed("write accepted forms", lambda: written_forms(made.in_force))
    limit = msgspec.structs.replace(snapshot.budgets[0], limit=1)
    changed = msgspec.structs.replace(snapshot, budgets=[limit, *snapshot.budgets[1:]])
    timed("tell the difference of one budget", lambda: difference(snapshot, changed))
    key = Ed25519PrivateKey.generate()
    sealed = timed("seal", lambda: seal(key, fleet="bench", generation=1, payload=payload))
    release = timed(
        "cut and pack chunks", lambda: next_release(None, sealed, Record(1, forms), "id")
    )
    with tempfile.TemporaryDirectory() as folder:
        store = FileHeadStore(Path(folder) / "head.json")
        timed("keep chunks", lambda: asyncio.run(store.keep(release.chunks, 1)))
    data = timed("envelope as sent", lambda: encode(sealed))
    timed("a proxy opens it", lambda: open_sealed(data, trust(key.public_key()), "bench"))
    timed(
        "a proxy builds its runtime",
        lambda: Runtime.build(snapshot, version=sealed.version, generation=1),
    )
    sizes = release.head.sizes.values()
    print(
        json.dumps(
            {
                "agents": agents,
                "snapshot_bytes": len(payload),
                "envelope_bytes": len(data),
                "chunks": len(sizes),
                "stored_bytes": sum(sizes),
                "largest_chunk": max(sizes),
            }
        )
    )


if __name__ == "__main__":
    main()

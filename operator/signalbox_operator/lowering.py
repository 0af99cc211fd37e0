"""A fleet of two releases: the snapshot in the lowest schema that lives, and what waits for more.

Pure. While some proxies are of the release before, all are told what those can read. What that
cannot say is left out, closed, and the object that wrote it says `UnsupportedByFleet` until the
last of them is replaced.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from signalbox_api import ResourceKey
from signalbox_api.conditions import Reason
from signalbox_operator.compiler import Compilation
from signalbox_operator.compiler.findings import Case, order
from signalbox_operator.control_port import ProxyStatus
from signalbox_snapshot.codec import ACCEPTED_SCHEMAS
from signalbox_snapshot.schemas import Beyond, lower
from signalbox_snapshot.snapshot import SCHEMA


def lowest_schema(proxies: Iterable[ProxyStatus]) -> int:
    """The schema that every proxy reads: for each the highest that both know, of all the lowest.

    One that reads none of ours is left out: it will refuse, whatever it is sent.
    """
    common = (set(each.schemas) & set(ACCEPTED_SCHEMAS) for each in proxies)
    return min((max(found) for found in common if found), default=SCHEMA)


def lowered(compilation: Compilation, schema: int) -> Compilation:
    """The compilation as a fleet is told it, with what is not in force among its findings."""
    made = lower(compilation.snapshot, schema)
    if made.snapshot is compilation.snapshot:
        return compilation
    by_object: defaultdict[ResourceKey, list[Beyond]] = defaultdict(list)
    for each in made.unsupported:
        if each.kind:
            by_object[ResourceKey(each.kind, *each.id.split("/", 1))].append(each)
    states, findings = dict(compilation.states), list(compilation.findings)
    for key, found in by_object.items():
        state = states.get(key)
        if state is None:
            continue
        case = Case(key)
        case.error(
            "spec",
            Reason.UNSUPPORTED_BY_FLEET,
            f"some proxies are of the release before and cannot be told {_named(found)}"
            + (": what it matches is refused" if any(each.refuses for each in found) else ""),
            "Nothing has to be done: it is in force once the last of them is upgraded",
        )
        states[key] = dataclasses.replace(state, findings=(*state.findings, *case.findings))
        findings += case.findings
    return dataclasses.replace(
        compilation,
        snapshot=made.snapshot,
        states=states,
        findings=tuple(sorted(findings, key=order)),
    )


def _named(found: Iterable[Beyond]) -> str:
    """The fields as the snapshot calls them, each once."""
    return ", ".join(sorted({each.path.rpartition(".")[2] for each in found}))

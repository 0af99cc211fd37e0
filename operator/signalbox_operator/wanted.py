"""From the inventory to what is compiled, and back to the state of every object that exists.

Pure. An object that cannot be read, or whose loss is held, takes part in its last accepted form.
The accepted forms of a release are kept beside its snapshot, so that they outlive the operator.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from signalbox_api import Resource, ResourceKey
from signalbox_api.load import read_object
from signalbox_api.problems import Problem
from signalbox_operator.compiler import Compilation, Finding, ObjectState
from signalbox_operator.inventory import Known
from signalbox_operator.losses import Loss
from signalbox_operator.reporter import Unreadable

Forms = Mapping[ResourceKey, Resource]


def standing(known: Mapping[ResourceKey, Known]) -> list[ResourceKey]:
    """What exists and is not on its way out: finalizers may keep what was deleted for hours."""
    return [key for key, item in known.items() if not item.is_terminating]


def objects_to_compile(
    known: Mapping[ResourceKey, Known], in_force: Forms, losses: Iterable[Loss] = ()
) -> list[Resource]:
    """What stands now: what is written where it can be read, otherwise what was accepted last;
    and the accepted forms of what is held, whether it is gone or on its way out."""
    held = {key: form for loss in losses for key, form in loss.forms.items()}
    chosen = [held[key] for key in sorted(held)]
    for key, item in known.items():
        if key in held or item.is_terminating:
            continue
        if isinstance(item.content, Resource):
            chosen.append(item.content)
        elif key in in_force:
            chosen.append(in_force[key])
    return chosen


def with_unreadable(
    compilation: Compilation, unreadable: Mapping[ResourceKey, Unreadable]
) -> Compilation:
    """The compilation, with what is wrong with objects that could not be read as their findings."""
    if not unreadable:
        return compilation
    states = dict(compilation.states)
    for key, item in unreadable.items():
        findings = tuple(_finding(key, problem) for problem in item.problems)
        before = states.get(key)
        if before is None:
            states[key] = ObjectState(key, item.generation, None, None, findings)
        else:
            states[key] = dataclasses.replace(
                before, generation=item.generation, findings=(*findings, *before.findings)
            )
    found = [finding for key in unreadable for finding in states[key].findings]
    others = [finding for finding in compilation.findings if finding.key not in unreadable]
    return dataclasses.replace(
        compilation,
        states={key: states[key] for key in sorted(states)},
        findings=tuple(sorted((*others, *found), key=str)),
    )


def written_forms(in_force: Forms) -> bytes:
    """Accepted forms as they are kept: one list of objects, sorted, without their status."""
    return msgspec.json.encode([_bare(in_force[key]) for key in sorted(in_force)])


def read_forms(data: bytes) -> dict[ResourceKey, Resource]:
    """Accepted forms as they were kept. What this release cannot read any longer is left out: the
    object itself is read instead, and refused if need be."""
    forms = (read_object(item) for item in msgspec.json.decode(data, type=list[dict[str, Any]]))
    return {form.key: form for form in forms if isinstance(form, Resource)}


def unreadable_of(known: Mapping[ResourceKey, Known]) -> dict[ResourceKey, Unreadable]:
    """The objects that cannot be read."""
    return {
        key: item.content for key, item in known.items() if isinstance(item.content, Unreadable)
    }


def resources_of(known: Mapping[ResourceKey, Known]) -> dict[ResourceKey, Resource]:
    """The objects that can be read."""
    return {key: item.content for key, item in known.items() if isinstance(item.content, Resource)}


def _bare(form: Resource) -> dict[str, Any]:
    written = form.manifest()
    metadata = {"name": form.metadata.name, "namespace": form.metadata.namespace}
    if form.metadata.generation is not None:
        written["metadata"] = metadata | {"generation": form.metadata.generation}
    else:
        written["metadata"] = metadata
    written.pop("status", None)
    return written


def _finding(key: ResourceKey, problem: Problem) -> Finding:
    return Finding(*key, problem.path, "error", problem.reason, problem.message, problem.fix)

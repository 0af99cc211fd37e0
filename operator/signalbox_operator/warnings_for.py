"""What would be said of an object if it were stored: for the webhook's warnings. Pure."""

from collections.abc import Mapping

from signalbox_api import Resource, ResourceKey
from signalbox_operator.compiler.compilation import compile_objects
from signalbox_operator.compiler.workloads import WorkloadIdentity

MAX_OBJECTS = 2_000
"""With more, compiling takes longer than a warning is worth; status tells it a second later."""

TOO_MANY = (
    f"Not compared with the other objects, which are more than {MAX_OBJECTS:,}: the status of the"
    " object says within seconds whether all that it names is there."
)


def warnings_for(
    resource: Resource,
    known: Mapping[ResourceKey, Resource],
    previous: Mapping[ResourceKey, Resource],
    *,
    platform_namespace: str,
    identity: WorkloadIdentity | None,
) -> list[str]:
    """One sentence for each thing that keeps the object from acting as written among the others.

    `identity` is what the cluster said last of its ServiceAccounts, None before it was asked: then
    nothing can be said.
    """
    if len(known) > MAX_OBJECTS:
        return [TOO_MANY]
    if identity is None:
        return []
    objects = [*(each for key, each in known.items() if key != resource.key), resource]
    compilation = compile_objects(
        objects, platform_namespace=platform_namespace, previous=previous, identity=identity
    )
    return [
        finding.text
        for finding in compilation.findings
        if finding.key == resource.key and finding.severity != "info"
    ]

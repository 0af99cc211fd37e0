"""Data assets: class and lock of what requests touch. The lock of the owner's domain holds too."""

from signalbox_api import DataAsset, jurisdictions
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.conversion import countries_in_words, sensitivity
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.references import World, find
from signalbox_snapshot import snapshot as wire


def build_asset(world: World, asset: DataAsset, case: Case) -> wire.DataAsset | None:
    """The asset, None where its domain is not in force: requests that name it are refused."""
    spec = asset.spec
    domain = find(world, case, "Domain", spec.domain, "spec.domain")
    if domain is None:
        return None
    inherited = world.domains[domain].jurisdictions
    lock = inherited
    if spec.residency is not None:
        stated = jurisdictions.resolve(spec.residency.jurisdictions)
        lock = sorted(stated if inherited is None else stated & set(inherited))
        if not lock:
            case.error(
                "spec.residency.jurisdictions",
                Reason.CONFLICT,
                f"nothing is left together with the lock of Domain {domain}: no request that"
                " touches the asset can run",
                f"Name countries among {countries_in_words(inherited or [])}",
            )
    return wire.DataAsset(
        id=case.id,
        domain=domain,
        sensitivity=sensitivity(spec.sensitivity.rank),
        jurisdictions=lock,
        location=spec.location or "",
        retention=spec.retention or "",
    )

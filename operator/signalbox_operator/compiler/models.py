"""Models: names that are unique, limits, quality, lanes, replacements.

Accepted in the platform namespace only. Whoever held a name before keeps it; among newcomers the
first by name gets it, and the other is told.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

import msgspec

from signalbox_api import Model, Resource, ResourceKey
from signalbox_api.amounts import millionths
from signalbox_api.conditions import Reason
from signalbox_api.model import ModelSpec
from signalbox_operator.compiler.conversion import epoch_seconds
from signalbox_operator.compiler.findings import Case, Finding
from signalbox_operator.compiler.forms import ObjectState, Settled, previous_form, settle
from signalbox_operator.compiler.lanes import build_lanes
from signalbox_operator.compiler.references import World
from signalbox_operator.compiler.unit_prices import covered_rows
from signalbox_snapshot import snapshot as wire

_DEFAULT_OUTPUT: Final = 1024


def settle_models(
    world: World, written: Mapping[str, Model], previous: Mapping[ResourceKey, Resource]
) -> Settled[Model, wire.Model]:
    """Chooses the forms of all models; fills the world's names."""
    settled: Settled[Model, wire.Model] = Settled()
    known = {name for model in written.values() for name in _names(model)}

    def seniority(name: str) -> tuple[bool, bool, str]:
        model = written[name]
        return model.key not in previous, previous_form(model, previous) is not None, name

    for name in sorted(written, key=seniority):
        settle(
            written[name],
            previous,
            lambda model, case: _build(world, known, model, case),
            settled,
        )
        for claimed in settled.wires[name].names if name in settled.wires else ():
            world.names[claimed] = name
    _resolve_replacements(world, settled)
    return settled


def _names(model: Model) -> list[str]:
    return sorted({model.metadata.name, *model.spec.aliases})


def _build(world: World, known: set[str], model: Model, case: Case) -> wire.Model | None:
    if case.key.namespace != world.platform:
        case.error(
            "metadata.namespace",
            Reason.NAMESPACE_NOT_PERMITTED,
            f"Models are accepted in {world.platform} only",
            f"Move it to {world.platform}, or ask the platform team to",
        )
        return None
    _check_names(world, model, case)
    _check_replacement(known, model, case)
    if any(item.reason is Reason.DUPLICATE for item in case.findings):
        return None
    spec = model.spec
    lanes = build_lanes(spec, world.simulate_url)
    _report_prices(lanes, case)
    _report_rows(spec, case)
    ends = spec.deprecation
    return wire.Model(
        id=case.id,
        name=case.key.name,
        names=_names(model),
        tokenizer=spec.tokenizer.value,
        capabilities=sorted(item.value for item in spec.capabilities),
        limits=_limits(spec),
        quality=_quality(spec),
        lanes=lanes,
        retires_at=None if ends is None else epoch_seconds(ends.at),
        replacement=None if ends is None else ends.replacement,
        display_name=spec.display_name or "",
    )


def _check_names(world: World, model: Model, case: Case) -> None:
    for position, name in enumerate((model.metadata.name, *model.spec.aliases)):
        holder = world.names.get(name)
        if holder is not None and holder != case.id:
            case.error(
                f"spec.aliases[{position - 1}]" if position else "metadata.name",
                Reason.DUPLICATE,
                f"{name} already leads to Model {holder}",
                "Choose another name, or take it from the other Model first",
            )


def _check_replacement(known: set[str], model: Model, case: Case) -> None:
    ends = model.spec.deprecation
    if ends is not None and ends.replacement is not None and ends.replacement not in known:
        case.error(
            "spec.deprecation.replacement",
            Reason.REF_NOT_FOUND,
            f"Model {ends.replacement} does not exist",
            "Create it, or leave the replacement out: requests are then refused after the end",
        )


def _report_prices(lanes: list[wire.Lane], case: Case) -> None:
    unpriced = [position for position, lane in enumerate(lanes) if lane.price is None]
    report = case.error if len(unpriced) == len(lanes) else case.warn
    for position in unpriced:
        report(
            f"spec.lanes[{position}].price",
            Reason.NO_PRICE,
            f"lane {lanes[position].name} has no price that can be billed: requests on it are"
            " refused with no_price",
            'State input and output, "0" for what is free; with multiplier and premium at most'
            " 1000000 USD per million tokens; and longContext beside prices above the Model's own"
            " longContext",
        )


def _report_rows(spec: ModelSpec, case: Case) -> None:
    stated = [("spec.price", spec.price)]
    prices = [(f"spec.lanes[{n}].price", lane.price) for n, lane in enumerate(spec.lanes)]
    for path, price in (*stated, *prices):
        images = () if price is None else price.per_image or ()
        for position, before in covered_rows(images):
            case.warn(
                f"{path}.perImage[{position}]",
                Reason.NO_PRICE,
                f"perImage[{before}] fits every image that this row fits, and comes first: what it"
                " says is the price of none",
                "Put the row that names more before the one that names less, or leave it out",
            )


def _limits(spec: ModelSpec) -> wire.TokenLimits:
    limits = spec.limits
    most = limits.max_output_tokens or 0
    return wire.TokenLimits(
        context=limits.context_tokens,
        max_output=most,
        default_output=min(limits.default_output_tokens or _DEFAULT_OUTPUT, most),
        per_image=limits.tokens_per_image or 0,
        per_request=limits.overhead.per_request,
        per_message=limits.overhead.per_message,
        per_tool=limits.overhead.per_tool,
        audio_seconds=limits.audio_seconds or msgspec.UNSET,
    )


def _quality(spec: ModelSpec) -> wire.Quality:
    if spec.quality is None:
        return wire.Quality(default=0, by_workload={})
    by_workload = spec.quality.by_workload
    return wire.Quality(
        default=millionths(spec.quality.default),
        by_workload={name: millionths(by_workload[name]) for name in sorted(by_workload)},
    )


def _resolve_replacements(world: World, settled: Settled[Model, wire.Model]) -> None:
    """Names of replacements become identities; one that leads nowhere or in a circle is dropped."""
    successors = {
        name: world.names.get(model.replacement)
        for name, model in settled.wires.items()
        if model.replacement is not None
    }
    for name, successor in successors.items():
        model = settled.wires[name]
        faulty = successor is None or _returns(name, successors)
        settled.wires[name] = msgspec.structs.replace(
            model, replacement=None if faulty else successor
        )
        if faulty:
            _warn_of_replacement(settled, name, model.replacement or "", missing=successor is None)


def _returns(start: str, successors: Mapping[str, str | None]) -> bool:
    seen: set[str] = set()
    here = successors.get(start)
    while here is not None and here != start and here not in seen:
        seen.add(here)
        here = successors.get(here)
    return here == start


def _warn_of_replacement(
    settled: Settled[Model, wire.Model], name: str, replacement: str, *, missing: bool
) -> None:
    state = settled.states[name]
    field = "spec.deprecation.replacement"
    if any(item.field == field for item in state.findings):
        return
    finding = Finding(
        *state.key,
        field,
        "warning",
        Reason.REF_NOT_FOUND if missing else Reason.CYCLE,
        f"Model {replacement} is not accepted itself" if missing else "leads back to the Model",
        "Until that is put right, requests are refused after the end",
    )
    settled.states[name] = _with_finding(state, finding)


def _with_finding(state: ObjectState, finding: Finding) -> ObjectState:
    return dataclasses.replace(state, findings=(*state.findings, finding))

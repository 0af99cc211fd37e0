"""Domains: the tree, its locks and default classes.

A tenant's Domain hangs below one of the platform; locks of parents and children intersect; the
default class is inherited and can only be raised by a tenant. Because domains name each other,
their forms are chosen together: those that cannot act go back to the last accepted form until
nothing changes any more.
"""

from collections.abc import Mapping
from typing import Final

from signalbox_api import Domain, Resource, ResourceKey, jurisdictions
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.conversion import countries_in_words, sensitivity
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.forms import ObjectState, Settled, generation_of, previous_form
from signalbox_operator.compiler.references import World, report_missing, report_not_allowed
from signalbox_snapshot import snapshot as wire

MAX_DEPTH: Final = 16
"""Most levels of a domain tree."""


def settle_domains(
    world: World, written: Mapping[str, Domain], previous: Mapping[ResourceKey, Resource]
) -> Settled[Domain, wire.Domain]:
    """Chooses the forms of all domains and builds those whose chain of parents holds."""
    forms = dict(written)
    cases = {name: Case(domain.key) for name, domain in written.items()}
    tree = _Tree(world, forms)
    while stepped := _steps_back(tree, written, previous):
        for name, before in stepped.items():
            tree.report(name, cases[name])
            forms[name] = before
        tree = _Tree(world, forms)
    settled: Settled[Domain, wire.Domain] = Settled()
    for name in tree.from_the_root():
        settled.wires[name] = _build(world, forms[name], cases[name], settled.wires)
    for name, domain in written.items():
        if forms[name] is domain:
            tree.report(name, cases[name])
        serving = name in settled.wires
        settled.states[name] = ObjectState(
            key=domain.key,
            generation=generation_of(domain),
            serving_generation=generation_of(forms[name]) if serving else None,
            form=forms[name] if serving or domain.key in previous else None,
            findings=tuple(cases[name].findings),
        )
        if serving:
            settled.forms[name] = forms[name]
    return settled


def _steps_back(
    tree: "_Tree", written: Mapping[str, Domain], previous: Mapping[ResourceKey, Resource]
) -> dict[str, Domain]:
    """The domains that go back to their last accepted form: at fault themselves, else below one."""
    for faulty in (tree.at_fault, sorted(tree.below_a_fault)):
        stepped = {
            name: before
            for name in faulty
            if tree.forms[name] is written[name]
            and (before := previous_form(written[name], previous)) is not None
        }
        if stepped:
            return stepped
    return {}


class _Tree:
    """The parents of one choice of forms, and which domains are at fault by their own parent."""

    def __init__(self, world: World, forms: Mapping[str, Domain]) -> None:
        self.world = world
        self.forms = forms
        self.parents = {name: self._parent(domain) for name, domain in forms.items()}
        self.depths: dict[str, int] = {}
        self.circular: set[str] = set()
        for name in forms:
            self._measure(name)
        self.at_fault = sorted(name for name in forms if self._is_at_fault(name))
        self.below_a_fault = self._below(set(self.at_fault))

    def _parent(self, domain: Domain) -> str | None:
        if domain.spec.parent is None:
            return None
        key = domain.ref("Domain", domain.spec.parent)
        return f"{key.namespace}/{key.name}"

    def _measure(self, name: str) -> None:
        """Depths up to the first known or missing parent; whoever is met twice is in a circle."""
        path: list[str] = []
        on_path: set[str] = set()
        here: str | None = name
        while here is not None and self._is_new(here) and here not in on_path:
            path.append(here)
            on_path.add(here)
            here = self.parents[here]
        if here is not None and here in on_path:
            self.circular.update(path[path.index(here) :])
        depth = self.depths.get(here or "", 0)
        for passed in reversed(path):
            depth += 1
            self.depths[passed] = depth

    def _is_new(self, name: str) -> bool:
        return name in self.forms and name not in self.depths

    def _is_at_fault(self, name: str) -> bool:
        case = Case(self.forms[name].key)
        self._judge(name, case)
        return bool(case.findings)

    def _below(self, faulty: set[str]) -> frozenset[str]:
        """Domains with a parent, at any distance, that is at fault."""
        found: set[str] = set()
        for name in sorted(self.forms, key=lambda item: self.depths[item]):
            if name not in faulty and (self.parents[name] in faulty or self.parents[name] in found):
                found.add(name)
        return frozenset(found)

    def from_the_root(self) -> list[str]:
        """Domains whose chain of parents holds, parents before children."""
        out = self.below_a_fault.union(self.at_fault)
        return sorted(self.forms.keys() - out, key=lambda name: (self.depths[name], name))

    def report(self, name: str, case: Case) -> None:
        """Says what is wrong with the domain's place in the tree, if anything."""
        self._judge(name, case)
        if not case.findings and name in self.below_a_fault:
            key = self.forms[name].ref("Domain", self.forms[name].spec.parent or "")
            report_missing(self.world, case, key, "spec.parent")

    def _judge(self, name: str, case: Case) -> None:
        parent, own = self.parents[name], case.key.namespace
        platform = self.world.platform
        if parent is None:
            if own != platform:
                case.error(
                    "spec.parent",
                    Reason.NAMESPACE_NOT_PERMITTED,
                    f"a Domain without a parent is accepted in {platform} only",
                    f"Name a Domain of {platform} that admits {own}, as {platform}/NAME",
                )
            return
        key = ResourceKey("Domain", *parent.split("/", 1))
        if key.namespace not in {own, platform}:
            case.error(
                "spec.parent",
                Reason.REF_NOT_PERMITTED,
                f"{key} lies in another namespace",
                f"Name one of the own namespace {own} or of {platform}",
            )
        elif parent not in self.forms:
            report_missing(self.world, case, key, "spec.parent")
        elif key.namespace != own and own not in self.forms[parent].spec.allowed_namespaces:
            report_not_allowed(case, key, "spec.parent")
        elif name in self.circular:
            case.error(
                "spec.parent",
                Reason.CYCLE,
                f"leads back to the Domain itself: {self._circle(name)}",
                "Break the circle: one of these Domains needs another parent",
            )
        elif self.depths[name] > MAX_DEPTH:
            case.error(
                "spec.parent",
                Reason.INVALID,
                f"is level {self.depths[name]} of its tree",
                f"Hang it higher: a tree has at most {MAX_DEPTH} levels",
            )

    def _circle(self, name: str) -> str:
        shown, here = [name], self.parents[name]
        while here is not None and here != name and len(shown) < MAX_DEPTH:
            shown.append(here)
            here = self.parents[here]
        return " > ".join([*shown, name if here == name else "…"])


def _build(
    world: World, domain: Domain, case: Case, built: Mapping[str, wire.Domain]
) -> wire.Domain:
    spec = domain.spec
    key = None if spec.parent is None else domain.ref("Domain", spec.parent)
    parent = None if key is None else built[f"{key.namespace}/{key.name}"]
    return wire.Domain(
        id=case.id,
        owner_team=spec.owner_team,
        focus_account=spec.focus_account,
        default_sensitivity=_default_sensitivity(world, domain, case, parent),
        jurisdictions=_lock(domain, case, parent),
        ancestors=[] if parent is None else [parent.id, *parent.ancestors],
    )


def _default_sensitivity(
    world: World, domain: Domain, case: Case, parent: wire.Domain | None
) -> wire.Sensitivity | None:
    own = domain.spec.default_sensitivity
    inherited = None if parent is None else parent.default_sensitivity
    if own is None:
        return inherited
    rank = sensitivity(own.rank)
    if inherited is None or rank >= inherited or case.key.namespace == world.platform:
        return rank
    name = wire.SENSITIVITY_NAMES[inherited]
    case.warn(
        "spec.defaultSensitivity",
        Reason.CONFLICT,
        f"{own} is below {name}, which the Domain inherits; {name} is in force",
        "Leave it out, or write a higher class",
    )
    return inherited


def _lock(domain: Domain, case: Case, parent: wire.Domain | None) -> list[str] | None:
    own = domain.spec.residency
    inherited = None if parent is None else parent.jurisdictions
    if own is None:
        return inherited
    stated = jurisdictions.resolve(own.jurisdictions)
    lock = stated if inherited is None else stated & set(inherited)
    if not lock and parent is not None:
        case.error(
            "spec.residency.jurisdictions",
            Reason.CONFLICT,
            f"nothing is left together with the lock of Domain {parent.id}: no request can run",
            f"Name countries among {countries_in_words(inherited or [])}",
        )
    return sorted(lock)

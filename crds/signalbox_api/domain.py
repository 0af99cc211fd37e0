"""Domain: who owns the spend and where its data may be processed."""

from typing import Annotated, Literal

from pydantic import Field

from signalbox_api.base import Part, Resource
from signalbox_api.scalars import UNIQUE, Jurisdiction, Label, Ref, Text
from signalbox_api.sensitivity import Sensitivity
from signalbox_api.status import DomainStatus


class Residency(Part):
    """Where data may be processed: no attempt, retry or failover ever leaves these countries."""

    jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(min_length=1, max_length=64), UNIQUE]
    """ISO 3166-1 country codes, or the groups EU and EEA. Quote "NO": YAML reads it as false."""


class DomainSpec(Part):
    """An organisational unit that owns agents, data and spend."""

    owner_team: Text
    """The team that answers for this spend; recorded with every run and charge."""
    focus_account: Text
    """Account to which charges are allocated (the FOCUS sub-account), such as "6410"."""
    default_sensitivity: Sensitivity | None = None
    """Class of requests that state none. Absent: the parent's; with none at all such requests are
    refused as unclassified."""
    residency: Residency | None = None
    """Residency lock. Combines with the parents' and the data assets' locks: only what all of them
    allow remains."""
    parent: Ref | None = None
    """The domain above, as name or namespace/name: its locks and budgets apply here too."""
    allowed_namespaces: Annotated[tuple[Label, ...], Field(max_length=512), UNIQUE] = ()
    """Other namespaces whose objects may name this domain. Acts in the platform namespace only;
    the own namespace is always allowed."""


class Domain(Resource):
    """Who owns the spend: team, account, residency lock, default sensitivity, parent.

    Domains form a tree: locks and budgets of a domain hold for all below it, and none of these can
    widen them. A domain without a parent is accepted in the platform's namespace only.
    """

    kind: Literal["Domain"] = "Domain"
    spec: DomainSpec
    """What is wanted."""
    status: DomainStatus | None = None
    """What is in force; written by Signalbox."""

"""DataAsset: data that requests touch, and what that means for where they may go."""

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from signalbox_api.base import Part, Resource
from signalbox_api.domain import Residency
from signalbox_api.scalars import Ref, Retention
from signalbox_api.sensitivity import Sensitivity
from signalbox_api.status import DataAssetStatus

LOCATION_PATTERN: Final = "^[A-Za-z0-9][-._:/A-Za-z0-9]{0,127}$"

Location = Annotated[
    str,
    StringConstraints(pattern=LOCATION_PATTERN, max_length=128),
]


class DataAssetSpec(Part):
    """A body of data. A request that names it is at least as sensitive, and bound by its lock."""

    domain: Ref
    """The domain that owns the data, as name or namespace/name."""
    sensitivity: Sensitivity
    """Class of the data: requests that touch it are raised to at least this class."""
    residency: Residency | None = None
    """Residency lock of the data. Absent: only the locks of its domain."""
    location: Location | None = None
    """Where the data lies, spelt as lanes spell their region, such as eu-central-1: of lanes that
    cost the same, one in that region is preferred."""
    retention: Retention | None = None
    """How long the owner keeps the data: a number and d, w or y, such as 90d or 7y. Status shows
    it in days; nothing is deleted by it."""


class DataAsset(Resource):
    """What requests see: owner domain, sensitivity, residency, location, retention.

    A request names it in `x-signalbox-data-assets`, or its agent does for all of its requests.
    Its class can only raise that of the request, its lock only narrow it. The run records it.
    """

    kind: Literal["DataAsset"] = "DataAsset"
    spec: DataAssetSpec
    """What is wanted."""
    status: DataAssetStatus | None = None
    """What is in force; written by Signalbox."""

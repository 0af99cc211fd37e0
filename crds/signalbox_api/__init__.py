"""What people write: one type per kind, with spec, status and conditions.

The contract between people and Signalbox. Knows nothing of snapshots, proxies or the ledger, calls
no API server and reads no clock. The CRDs are generated from these types
(`python -m signalbox_api.crd`).
"""

from signalbox_api.agent import Agent
from signalbox_api.base import API_VERSION, GROUP, Resource, ResourceKey, resolve_ref
from signalbox_api.budget import Budget
from signalbox_api.data_asset import DataAsset
from signalbox_api.domain import Domain
from signalbox_api.kinds import KINDS, Kind
from signalbox_api.model import Model
from signalbox_api.route_policy import RoutePolicy
from signalbox_api.sensitivity import Sensitivity

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "Agent",
    "Budget",
    "DataAsset",
    "Domain",
    "Kind",
    "Model",
    "Resource",
    "ResourceKey",
    "RoutePolicy",
    "Sensitivity",
    "resolve_ref",
]

"""Credentials of the simulated provider: one made-up key for each name that lanes ask for."""

import secrets
from collections.abc import Iterable

from signalbox_api import Model, Resource
from signalbox_api.lane_auth import AuthType
from signalbox_cli.state import StateFolder, write_private
from signalbox_operator.compiler.lanes import simulated_key


def make_simulated(state: StateFolder, objects: Iterable[Resource]) -> None:
    """Makes a key for each credential that a lane names and that has none yet."""
    for name in sorted(_names(objects)):
        path = state.credentials / name
        if not path.exists():
            write_private(path, f"simulated-{secrets.token_urlsafe(24)}".encode())


def _names(objects: Iterable[Resource]) -> set[str]:
    return {
        lane.auth.key or simulated_key(lane.auth.type)
        for each in objects
        if isinstance(each, Model)
        for lane in each.spec.lanes
        if lane.auth is not None and lane.auth.type is not AuthType.NONE
    }

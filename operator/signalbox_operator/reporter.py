"""The seam between the loop and whoever writes status: what is known after a reconciliation.

The loop makes a `Report` after every step and about once a second; a `Reporter` turns it into
status, Events and metrics in its own time. It gets values only, and never blocks the loop for long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from signalbox_api import Resource, ResourceKey
from signalbox_api.problems import Problem
from signalbox_operator.compiler import Compilation
from signalbox_operator.control_port import ProxyAddress
from signalbox_operator.facts import FleetFacts
from signalbox_operator.head import Head


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that the API server has and that is none of Signalbox's: why, and its metadata.

    Each problem names the field. The form accepted last stays in force, until the object is under
    deletion. `uid` and `status` are what the API server has.
    """

    key: ResourceKey
    generation: int
    resource_version: str
    problems: tuple[Problem, ...]
    uid: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What is known after one pass of the loop.

    `objects` are all readable objects as the API server has them, status included; `unreadable`
    the others. `states` of the compilation has an entry for each of both. `version` is that of the
    compiled snapshot, which differs from the head's while it is held back or was not released yet.
    `held` tells what is held back and how to go on; `problem` why releases fail; and
    `rollback_problem` why what was asked to go back to is not what serves.
    `changed` are the keys whose object or state changed since the report before, None for all.
    """

    objects: Mapping[ResourceKey, Resource]
    unreadable: Mapping[ResourceKey, Unreadable]
    compilation: Compilation
    version: str
    head: Head | None
    fleet: FleetFacts
    proxies: tuple[ProxyAddress, ...]
    now: datetime
    held: tuple[str, ...] = ()
    problem: str = ""
    rollback_problem: str = ""
    changed: frozenset[ResourceKey] | None = field(default=None)


class Reporter(Protocol):
    """Whoever tells people what the fleet enforces."""

    async def report(self, report: Report) -> None:
        """Take note of the newest report; what an earlier one said may be skipped."""

"""Residency locks as sets of countries: where an attempt may run. Pure."""

from collections.abc import Iterable

from signalbox_snapshot.snapshot import Policy

Lock = frozenset[str] | None
"""Jurisdictions that an attempt may run in; None is no lock."""


def lock_of(jurisdictions: Iterable[str] | None) -> Lock:
    """The lock that a snapshot's list states."""
    return None if jurisdictions is None else frozenset(jurisdictions)


def both(one: Lock, other: Lock) -> Lock:
    """What two locks leave together."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def is_within(lock: Lock, bound: Lock) -> bool:
    """Whether a lock permits nothing that the bound does not."""
    return bound is None or (lock is not None and lock <= bound)


def locks_more(before: Policy | None, now: Policy) -> bool:
    """Whether a policy's lock keeps out somebody, or somewhere, that its earlier form may not.

    In doubt it does: whom a changed match newly covers is not computed. `before` is None for a
    policy that is new.
    """
    if now.jurisdictions is None:
        return False
    if before is None or before.match != now.match:
        return True
    return not is_within(lock_of(before.jurisdictions), lock_of(now.jurisdictions))

"""Residency locks as sets of countries: where an attempt may run. Pure."""

from collections.abc import Iterable

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

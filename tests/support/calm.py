"""How properties are tried on a machine that others use too: no example is late."""

from hypothesis import HealthCheck, settings

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
"""Decorates a test, or is the parent of settings that say more."""

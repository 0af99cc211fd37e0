"""Bounds of time, judged on a machine that has other things to do.

What else a machine does makes work slower, never quicker: one try that keeps a bound shows that it
can be kept, and code that breaks it breaks it every time.
"""

import math
import os
import time
from collections.abc import Callable

TRIES = 30
LONGEST_WAIT_VARIABLE = "SIGNALBOX_TESTS_WAIT_S"
"""Seconds; where it is set, no test waits for a condition any longer: for trees that are broken on
purpose, in which it may never hold."""


def at_most(seconds: float) -> float:
    """How long to wait for a condition that holds within `seconds` on the slowest machine."""
    return min(seconds, float(os.environ.get(LONGEST_WAIT_VARIABLE, "inf")))


def least(measure: Callable[[], float], bound: float, *, tries: int = TRIES) -> float:
    """The least of what `measure` gives in so many tries; the first one below `bound` is enough."""
    found = math.inf
    for _ in range(tries):
        found = min(found, measure())
        if found < bound:
            break
    return found


def cpu_s(work: Callable[[], object]) -> float:
    """The seconds of this process's CPU that it takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_s(work: Callable[[], object]) -> float:
    """The seconds that pass meanwhile."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

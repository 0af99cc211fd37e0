"""Bounds of time, judged on a machine that has other things to do.

What else a machine does makes work slower, never quicker: one try that keeps a bound shows that it
can be kept, and code that breaks it breaks it every time.
"""

import math
import time
from collections.abc import Callable

TRIES = 30


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

"""Processes whose clock is wrong: what libfaketime makes them believe, in their environment.

Only the time of day is faked, not the monotonic clock: so it is on a machine that is minutes off.
"""

import os
from pathlib import Path

import pytest


def require_wrong_clocks() -> None:
    """Skip the test where libfaketime is not installed; with CI=true that is a failure."""
    if _libraries():
        return
    reason = "libfaketime is not installed (Debian package libfaketime)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _libraries() -> list[Path]:
    return sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def _environment() -> dict[str, str]:
    return {
        "LD_PRELOAD": str(_libraries()[-1]),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
        "NO_FAKE_STAT": "1",
    }


def off_by(seconds: int) -> dict[str, str]:
    """A clock that is ahead by so much, or behind."""
    return _environment() | {"FAKETIME": f"{seconds:+d}s"}


class SteppingClock:
    """A clock that is right until it is told to step."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        return _environment() | {
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
        }

    def step(self, seconds: int) -> None:
        """Be so far off from now on, give or take the second in which it is noticed."""
        waiting = self._file.with_suffix(".new")
        waiting.write_text(f"{seconds:+d}s\n")
        waiting.rename(self._file)

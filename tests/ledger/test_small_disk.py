"""A disk that really is full: nothing new leaves, no record is lost, and it mends itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_full_disk_stops_dispatch_loses_no_record_and_needs_nobody(folder: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a disk of its own needs `unshare -rm` (user namespaces)")
    ran = subprocess.run(
        ["unshare", "-rm", sys.executable, "-m", "support.small_disk", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert dict(line.split("=") for line in ran.stdout.splitlines()) == {
        "with_room": "True",
        "with_fifteen_megabytes": "False",
        "into_the_room_set_aside": "True",
        "without_room": "False",
        "with_room_again": "True",
        "every_record_written": "True",
    }

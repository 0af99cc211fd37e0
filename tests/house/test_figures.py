"""What proofs tell is whole, whoever else tells at the same time, and the worst of it is shown."""

import os
import subprocess
import sys
from pathlib import Path

from support.figures import FILE_VARIABLE, merged, told

TESTS = Path(__file__).parents[1]
TELLERS, TIMES = 4, 200
TELL = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from support.figures import tell
for number in range({TIMES}):
    tell(f"proof {{sys.argv[1]}} {{'x' * 5000}}", overspend_nano=number, simulated_seeds=1)
"""


def test_processes_that_tell_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    tellers = [
        subprocess.Popen(
            [sys.executable, "-c", TELL, str(number)],
            env=os.environ | {FILE_VARIABLE: str(path)},
            stdout=subprocess.DEVNULL,
        )
        for number in range(TELLERS)
    ]
    assert [teller.wait(60) for teller in tellers] == [0] * TELLERS
    found = told(path)
    assert len(found) == TELLERS * TIMES
    assert merged(found) == {"overspend_nano": TIMES - 1, "simulated_seeds": TELLERS * TIMES}

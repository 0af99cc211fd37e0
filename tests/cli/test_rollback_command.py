"""`signalbox history` and `signalbox rollback` on the state of an `up`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from support.fleet import eventually
from support.running import QUICKSTART, Running, running_up


def released(running: Running) -> dict:
    return json.loads(running.signalbox("history", "-o", "json"))


def limit_in_force(running: Running) -> str:
    """The limit of a budget in the snapshot that is released."""
    head = json.loads((running.state / "head.json").read_text())
    budgets = json.loads(head["envelope"]["snapshot"])["budgets"]
    return str(next(budget for budget in budgets if budget["id"].endswith("/company-day"))["limit"])


def test_an_earlier_release_serves_again_for_a_while_and_then_what_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "manifests"
    shutil.copytree(QUICKSTART, folder)
    file = next(each for each in folder.glob("*.yaml") if "company-day" in each.read_text())
    with running_up(
        tmp_path, folder, ["--proxies", "1", "--dev-key", "retail/assistant"]
    ) as running:
        first = released(running)
        assert [each["generation"] for each in first["releases"]] == [1]
        before = limit_in_force(running)
        text = file.read_text()
        changed = text.replace('usd: "50"', 'usd: "77"', 1)
        assert changed != text
        file.write_text(changed)
        eventually(lambda: limit_in_force(running) == str(77 * 10**9))
        told = released(running)["releases"][0]["changes"]
        assert any("company-day: limit" in sentence for sentence in told)
        assert "is not kept; these are: 2, 1" in _refused(running, "rollback", "9")
        running.signalbox("rollback", "1", "--for", "1h")
        eventually(lambda: limit_in_force(running) == before)
        pinned = released(running)
        assert pinned["pinned"]["generation"] == 1
        assert pinned["releases"][0]["restores"] == 1
        assert "pinned until" in running.signalbox("history")
        running.signalbox("rollback", "1", "--for", "1s")
        eventually(lambda: limit_in_force(running) == str(77 * 10**9))
        running.signalbox("rollback", "1")
        eventually(lambda: limit_in_force(running) == before)
        running.signalbox("rollback", "--end")
        eventually(lambda: limit_in_force(running) == str(77 * 10**9))
        assert released(running)["pinned"] is None


def _refused(running: Running, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "signalbox_cli", *arguments],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    return ran.stderr

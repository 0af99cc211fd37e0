"""`signalbox up` with its ledger in PostgreSQL: same commands, same answers, and the password stays
with those who talk to the database."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from signalbox_ledger.opening import DSN_VARIABLE
from support.oracle import eventually
from support.running import QUICKSTART, Running, child_environment, free_ports, running_quickstart


@pytest.fixture
def running(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    with running_quickstart(tmp_path) as started:
        yield started


def answered(running: Running) -> str:
    """Asks once; the run's id."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/v1/chat/completions",
        data=json.dumps(
            {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Good morning!"}]}
        ).encode(),
        headers={
            "Authorization": f"Bearer {running.variables['OPENAI_API_KEY']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200
        return str(answer.headers["x-signalbox-run-id"])


def processes(running: Running) -> dict[str, int]:
    """Process ids of the children, by their modules' last names."""
    pid = running.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(each): Path(f"/proc/{each}/cmdline").read_text() for each in children}
    return {line.split("\0")[2]: each for each, line in lines.items()}


def test_everything_works_as_on_one_file_and_the_password_is_nowhere(
    running: Running, postgres_dsn: str
) -> None:
    run_id = answered(running)

    def recorded() -> bool:
        items = json.loads(running.signalbox("runs", "-o", "json") or "{}")["items"]
        return run_id in {item["run_id"] for item in items}

    eventually(recorded, what="the run is listed")
    assert run_id in running.signalbox("runs", run_id)
    assert "retail/assistant" in running.signalbox("report", "spend", "--by", "agent")
    assert "PostgreSQL (" in running.signalbox("ledger", "status")
    eventually(
        lambda: "True" in running.signalbox("get", "budgets", "-n", "retail"), what="budgets shown"
    )
    assert not (running.state / "ledger.db").exists()
    password = postgres_dsn.partition("@")[0].rpartition(":")[2]
    found = processes(running)
    assert len(found) >= 3
    for module, pid in found.items():
        assert password not in Path(f"/proc/{pid}/cmdline").read_text()
        told = password in Path(f"/proc/{pid}/environ").read_text()
        assert told is (module == "signalbox_ledger.authority"), module
    written = [path for path in running.state.rglob("*") if path.is_file()]
    assert not [path for path in written if password.encode() in path.read_bytes()]
    assert password not in "\n".join(running.printed)


def test_a_ledger_that_outlived_its_folder_of_state_goes_on_with_new_generations(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second generation 1 would bring no budget into force."""
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    first, second = tmp_path / "1", tmp_path / "2"  # short: a socket's path may have 100 bytes
    first.mkdir()
    second.mkdir()
    with running_quickstart(first) as before:
        answered(before)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("UPDATE ledger_state SET generation = 41, min_generation = 40")
    with running_quickstart(second) as after:
        assert answered(after)
        eventually(lambda: "generation 42" in after.signalbox("ledger", "status"), what="released")


@pytest.mark.parametrize("dsn", ["postgresql://nobody:hush-hush@127.0.0.1:1/none", "nonsense=="])
def test_a_database_that_does_not_answer_is_told_without_the_password(
    tmp_path: Path, dsn: str
) -> None:
    port, control, metrics = free_ports(3, run=4)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "signalbox_cli", "up", str(QUICKSTART), "--simulate"),
            *("--state", str(tmp_path / "state"), "--port", str(port)),
            *("--control-port", str(control), "--metrics-port", str(metrics)),
        ],
        env=child_environment() | {DSN_VARIABLE: dsn, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert "authority" in ran.stderr
    assert "hush-hush" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr

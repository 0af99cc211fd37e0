"""What happens to a running `signalbox up`: files change, processes die, it is told to stop."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.running import Running, running_up

DEV_KEY = ("--dev-key", "retail/assistant")


def eventually(found: Callable[[], object], limit_s: float = 180) -> object:
    """What `found` gives as soon as it gives something true."""
    deadline = time.monotonic() + limit_s
    while not (value := found()):
        assert time.monotonic() < deadline, "not within the limit"
        time.sleep(0.1)
    return value


def processes(running: Running) -> dict[str, int | None]:
    """Process ids of the children by name, as `up` tells them."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(running.state / "up.sock"))
    connection.request("GET", "/v1/status")
    status = json.loads(connection.getresponse().read())
    connection.close()
    return {name: each["pid"] for name, each in status["processes"].items()}


def budget(running: Running, name: str = "assistant") -> dict:
    return json.loads(running.signalbox("get", "budget", f"retail/{name}", "-o", "json"))


def ask(running: Running) -> int:
    """One request, status only."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=120)
    body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {
        "Authorization": f"Bearer {running.variables['OPENAI_API_KEY']}",
        "Content-Type": "application/json",
    }
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def progress(running: Running) -> str:
    """What `up` told on its standard error."""
    return (running.state.parent / "up.stderr").read_text()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_changed_file_is_released_and_told_for_whom(running: Running, manifests: Path) -> None:
    edit(manifests / "30-retail.yaml", 'usd: "0.03"', 'usd: "0.05"')
    eventually(lambda: budget(running)["status"]["limit"] == "0.05")
    changed = budget(running)
    assert changed["metadata"]["generation"] == 2
    assert changed["status"]["servingGeneration"] == 2
    eventually(lambda: "released as generation 2" in progress(running))
    told = "Budget retail/assistant: limit 0.03 -> 0.05 USD; affects agent retail/assistant"
    eventually(lambda: told in progress(running))


def test_a_broken_file_keeps_what_it_said_and_says_so(running: Running, manifests: Path) -> None:
    path = manifests / "40-wealth.yaml"
    whole = path.read_text()
    path.write_text("kind: [broken\n")
    eventually(lambda: "in force as before, until the file can be read" in progress(running))
    eventually(lambda: re.search(r"40-wealth\.yaml:[12]: error", progress(running)))
    advisor = json.loads(running.signalbox("get", "agent", "wealth/advisor", "-o", "json"))
    assert advisor["status"]["servingGeneration"] == 1
    path.write_text(whole)


def test_an_update_that_cannot_act_leaves_the_one_before_in_force(
    running: Running, manifests: Path
) -> None:
    path = manifests / "30-retail.yaml"
    edit(path, "scope: {agent: assistant}", "scope: {agent: asistant}")
    refused = eventually(
        lambda: (
            found
            if (found := budget(running))["status"]["conditions"][0]["status"] == "False"
            else None
        )
    )
    accepted = refused["status"]["conditions"][0]  # type: ignore[index]
    assert accepted["reason"] == "RefNotFound"
    assert refused["status"]["servingGeneration"] < refused["metadata"]["generation"]  # type: ignore[index]
    assert ask(running) == 200
    edit(path, "scope: {agent: asistant}", "scope: {agent: assistant}")
    eventually(lambda: budget(running)["status"]["conditions"][0]["status"] == "True")


def test_a_removed_object_is_gone_and_a_new_one_is_there(running: Running, manifests: Path) -> None:
    added = manifests / "50-more.yaml"
    added.write_text(
        "apiVersion: signalbox.dev/v1alpha1\nkind: Budget\n"
        "metadata: {name: more, namespace: retail}\n"
        "spec: {scope: {agent: catalog}, limit: {tokens: 100000}, window: {every: hour}}\n"
    )
    eventually(lambda: "retail/more" in running.signalbox("get", "agent", "catalog", "-o", "wide"))
    added.unlink()
    eventually(lambda: "more" not in running.signalbox("get", "budgets", "-o", "name"))


def test_a_proxy_that_is_killed_is_settled_and_comes_back(running: Running) -> None:
    before = processes(running)["proxy-0"]
    assert before
    os.kill(before, signal.SIGKILL)
    eventually(lambda: "proxy-0 runs again" in progress(running))
    after = eventually(lambda: processes(running)["proxy-0"])
    assert after != before
    eventually(lambda: all(ask(running) == 200 for _ in range(3)))
    assert re.search("proxy-0 was killed by signal 9; restarting", progress(running))


@pytest.mark.parametrize("name", ["simulator", "authority"])
def test_what_else_dies_is_started_again(running: Running, name: str) -> None:
    before = processes(running)[name]
    assert before
    os.kill(before, signal.SIGKILL)
    eventually(lambda: f"{name} runs again" in progress(running))
    eventually(lambda: ask(running) == 200)


def test_sigterm_ends_everything_with_exit_code_zero_and_it_starts_again(
    manifests: Path, tmp_path: Path
) -> None:
    with running_up(tmp_path, manifests, DEV_KEY) as first:
        pids = [pid for pid in processes(first).values() if pid]
        assert len(pids) == 4
        key = first.variables["OPENAI_API_KEY"]
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(90) == 0
        assert not [pid for pid in pids if alive(pid)]
        assert not (first.state / "up.sock").exists()
    with running_up(tmp_path, manifests, DEV_KEY) as again:
        assert again.variables["OPENAI_API_KEY"] == key
        assert budget(again)["metadata"]["generation"] == 1


def test_children_do_not_outlive_a_supervisor_that_is_killed(
    manifests: Path, tmp_path: Path
) -> None:
    with running_up(tmp_path, manifests, DEV_KEY) as running:
        pids = [pid for pid in processes(running).values() if pid]
        running.process.kill()
        running.process.wait()
        eventually(lambda: not [pid for pid in pids if alive(pid)], limit_s=90)


def test_ctrl_c_is_an_orderly_end(manifests: Path, tmp_path: Path) -> None:
    with running_up(tmp_path, manifests, (*DEV_KEY, "--proxies", "1")) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(90) == 0
    assert "Traceback" not in progress(running)


def test_proxies_that_cannot_start_end_it_with_a_sentence(manifests: Path, tmp_path: Path) -> None:
    with running_up(tmp_path, manifests, DEV_KEY) as running:
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(90)
    (running.state / "signing.key").write_text("no key")
    ran = subprocess.run(
        ["python", "-m", "signalbox_cli", "up", str(manifests), "--port", "0"],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 2
    ran = subprocess.run(
        ["python", "-m", "signalbox_cli", "up", str(manifests)],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert "signing.key" in ran.stderr
    assert "Traceback" not in ran.stderr

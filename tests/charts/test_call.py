"""What `helm test` runs, against real proxies: the text that the pod gets, with its interpreter."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.charts import Objects
from support.running import Running, free_ports, running_quickstart


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_quickstart(tmp_path_factory.mktemp("call")) as started:
        yield started


def _call(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    (pod,) = Objects.of().kind("Pod")
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python", "-c"]
    return subprocess.run(
        [sys.executable, "-c", *container["args"]],
        env={"PATH": str(Path(sys.executable).parent), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_key_it_passes_where_strangers_are_refused(running: Running) -> None:
    ran = _call({"URL": f"http://127.0.0.1:{running.port}"})
    assert ran.returncode == 0, ran.stderr
    assert "refuses a call without a key" in ran.stdout


def test_with_a_key_an_agent_gets_an_answer(running: Running) -> None:
    key = running.variables["OPENAI_API_KEY"]
    ran = _call({"URL": f"http://127.0.0.1:{running.port}", "KEY": key, "MODEL": "gpt-5.4-mini"})
    assert ran.returncode == 0, ran.stderr
    assert "gpt-5.4-mini answered: " in ran.stdout
    assert key not in ran.stdout


def test_it_fails_with_what_was_answered(running: Running) -> None:
    key = running.variables["OPENAI_API_KEY"]
    ran = _call({"URL": f"http://127.0.0.1:{running.port}", "KEY": key, "MODEL": "no-such"})
    assert ran.returncode == 1
    assert "404" in ran.stderr
    assert key not in ran.stderr


def test_it_fails_where_nobody_answers() -> None:
    (port,) = free_ports(1)
    ran = _call({"URL": f"http://127.0.0.1:{port}", "PATIENCE_SECONDS": "0.1"})
    assert ran.returncode == 1
    assert "does not answer" in ran.stderr

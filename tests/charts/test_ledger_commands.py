"""The runbook's commands of the ledger, in the environment that the chart gives the pod: a real
authority by the container's own arguments, and each line of docs/operations.md as it stands there.

What no machine of the tests has is the pod itself: its folders are folders of the test.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.charts import BUNDLED, RELEASE, Objects, Values
from support.postgres import PostgresServer
from support.running import ROOT

PAGES = ("operations.md", "reliability.md", "budgets.md", "reconciliation.md")
EXEC = re.compile(
    r"kubectl -n signalbox-system exec (?:-it? )?svc/signalbox -c ledger -- "
    r"(signalbox [^`#\n]+|sh -c '[^'\n]+')"
)
COMMANDS = sorted(
    {found.strip() for page in PAGES for found in EXEC.findall((ROOT / "docs" / page).read_text())}
)
WANTED = ("ledger status", "ledger readmit", "ledger refused", "ledger rebuild-sums")
ALSO = ("proxies", "proxies lost", "runs", "report spend")
NOT_THERE = {
    "NAME": 'proxy "NAME" not found',
    "runs ID": 'run "ID" not found',
    "bill": "unknown to the ledger",
}
"""What is said where a command ends with 1: nobody of that name is here."""
BILL = "provider_request_id,amount_usd\nreq_of_nobody,0.0042\n"


@dataclass(frozen=True)
class Pod:
    """The container of the ledger, its folders below one of the test's."""

    folder: Path
    container: dict[str, Any]
    secrets: dict[str, str]

    def environment(self) -> dict[str, str]:
        """What the chart sets, and the value of each Secret that it names."""
        told = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "USER": "signalbox"}
        for each in self.container["env"]:
            name = each["name"]
            told[name] = self.secrets[name] if "valueFrom" in each else self.there(each["value"])
        return told

    def there(self, text: str) -> str:
        """A path of the pod in the test's folder."""
        return re.sub(r"(?<![\w/])/(run|var/lib/signalbox|tmp)\b", rf"{self.folder}/\1", text)

    @contextmanager
    def running(self) -> Iterator["Pod"]:
        """With the container's process, once it listens."""
        command = [*self.container["command"][1:], *map(self.there, self.container["args"])]
        with subprocess.Popen(
            [sys.executable, *command, "--die-with-parent"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline(), "it listens"
                yield self
            finally:
                process.kill()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """`kubectl exec … -- COMMAND`, with a person who says yes."""
        return subprocess.run(
            shlex.split(self.there(command)),
            env=self.environment(),
            cwd=self.folder,
            input=BILL if "bill" in command else "y\n",
            capture_output=True,
            text=True,
            timeout=120,
        )


def _pod(folder: Path, values: Values, secrets: dict[str, str]) -> Pod:
    for name in ("run/signalbox", "var/lib/signalbox", "tmp"):
        (folder / name).mkdir(parents=True)
    pod = Objects.of(values).pods()[f"{RELEASE}-proxy"]["spec"]
    (ledger,) = [each for each in pod["initContainers"] if each["name"] == "ledger"]
    return Pod(folder, ledger, secrets)


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def pod(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    folder = tmp_path_factory.mktemp("pod")
    if request.param == "SQLite":
        with _pod(folder, {}, {}).running() as pod:
            yield pod
        return
    with PostgresServer(folder) as server:
        dsn = server.dsn(server.create_database())
        with _pod(folder, BUNDLED, {"SIGNALBOX_LEDGER_DSN": dsn}).running() as pod:
            yield pod


def test_the_pages_have_a_line_for_each_command_of_the_ledger() -> None:
    for name in (*WANTED, *ALSO):
        assert any(each.startswith(f"signalbox {name}") for each in COMMANDS), name


@pytest.mark.parametrize("command", COMMANDS)
def test_the_line_reaches_the_ledger_of_the_pod(pod: Pod, command: str) -> None:
    ran = pod.run(command)
    wanted = [said for name, said in NOT_THERE.items() if name in command]
    assert ran.returncode == len(wanted), ran.stdout + ran.stderr
    assert all(said in ran.stdout + ran.stderr for said in wanted), ran.stdout + ran.stderr

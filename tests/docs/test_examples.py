"""Every example in README and docs is run.

`console` blocks: each line that starts with `$ ` is a command; what follows it until the next is
its output. A command must end with exit code 0, or with N where a comment `# exit N` says so.
Output lines must appear in order; `…` stands for any text within a line, and a line that is only
`…` for any lines. `python` blocks run as they stand. `yaml` blocks are accepted as one more file of
the quickstart. All run against one `signalbox up` on the quickstart, with the variables that it
prints.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.running import QUICKSTART, Running, child_environment, running_quickstart

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit (\d+)$")


@dataclass(frozen=True)
class Example:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples(*languages: str) -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = str(page.relative_to(ROOT))
            found.append(Example(name, line, match[1], match[2]))
    return [each for each in found if each.language in languages]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_quickstart(tmp_path_factory.mktemp("docs")) as started:
        yield started


def commands(text: str) -> list[tuple[str, int, list[str]]]:
    """Command, expected exit code, expected output lines."""
    found: list[tuple[str, int, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            said = EXIT.search(line)
            found.append((EXIT.sub("", line[2:]), int(said[1]) if said else 0, []))
        elif found and found[-1][0].endswith("\\"):
            command, code, output = found[-1]
            found[-1] = (f"{command}\n{line.removeprefix('> ')}", code, output)
        elif found:
            found[-1][2].append(line)
    return found


def pattern(line: str) -> re.Pattern[str]:
    """`…` is any text; runs of blanks and of line drawing match any width."""
    parts = [re.escape(part) for part in re.sub(r"\s+", " ", line.strip()).split("…")]
    return re.compile(".*".join(part.replace(r"\ ", r"\s+") for part in parts))


def assert_in_order(expected: list[str], shown: str) -> None:
    lines = iter(shown.splitlines())
    for line in expected:
        if not line.strip() or line.strip() == "…":
            continue
        wanted = pattern(line)
        assert any(wanted.search(each) for each in lines), f"missing: {line!r}\nin:\n{shown}"


@pytest.mark.parametrize("example", examples("console"), ids=str)
def test_console_examples_do_what_the_page_shows(example: Example, running: Running) -> None:
    for command, code, expected in commands(example.text):
        if command.startswith(("make ", "git clone", "cd ")):
            if command.startswith("make "):
                subprocess.run(["make", "-n", *command.split()[1:2]], cwd=ROOT, check=True)
            continue
        if command.startswith("signalbox up "):
            continue  # the fixture is that command; its start screen is tested in tests/cli
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=running.environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert ran.returncode == code, f"{example}: {command}\n{ran.stdout}{ran.stderr}"
        assert_in_order(expected, ran.stdout + ran.stderr)


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_python_examples_run(example: Example, running: Running, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(example.text)
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, f"{example}\n{ran.stderr}"


@pytest.mark.parametrize("example", examples("yaml"), ids=str)
def test_yaml_examples_are_accepted_beside_the_quickstart(example: Example, tmp_path: Path) -> None:
    shutil.copytree(QUICKSTART, tmp_path / "manifests")
    (tmp_path / "manifests" / "example.yaml").write_text(example.text)
    ran = subprocess.run(
        [sys.executable, "-m", "signalbox_cli", "check", "--strict", str(tmp_path / "manifests")],
        capture_output=True,
        text=True,
        env=child_environment() | {"NO_COLOR": "1"},
        timeout=180,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

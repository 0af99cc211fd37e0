"""Commands on the pages about clusters, as they stand there: the command line takes each, and each
goes to the cluster and not to a folder of whoever reads the page.

tests/charts/test_ledger_commands.py runs those that go into a pod.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import pytest

from signalbox_cli.main import main

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ("docs/kubernetes.md", "docs/operations.md", "docs/security.md")
FENCE: Final = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"`([^`]+)`")
SIGNALBOX: Final = re.compile(r"(^|-- |; |&& )signalbox ([^|;#<'\n]+)")
HELM: Final = re.compile(r"helm (?:install|upgrade|uninstall|test) [^|;#\n]+")
IN_THE_POD: Final = re.compile(r"exec (-it? )?svc/signalbox -c ledger -- ")
WRITTEN: Final = {"DIR": ".", "GENERATION": "3", "NAMESPACE/AGENT": "retail/assistant"}
"""What people put in place of what a page has in capitals."""

OF_A_LEDGER: Final = {"runs", "spend", "reconcile"}
"""What reads the ledger itself; what asks the authority is told by its option --socket."""


@dataclass(frozen=True)
class Line:
    """One line of code on a page."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def _lines() -> list[Line]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        blocks = FENCE.findall(text)
        codes = [" ".join(code.split()) for code in INLINE.findall(FENCE.sub("", text))]
        fenced = [line.strip() for block in blocks for line in block.splitlines()]
        found += [Line(page, text) for text in (*fenced, *codes) if text != "signalbox up"]
    return list(dict.fromkeys(found))  # `up` is spoken of as what has no cluster


SIGNALBOX_LINES: Final = [line for line in _lines() if SIGNALBOX.search(line.text)]
HELM_LINES: Final = [line for line in _lines() if HELM.search(line.text)]


def _parsed(words: list[str]) -> click.Context:
    """The innermost command with its options; nothing is run. Raises UsageError as a person sees
    it."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"there is no command {words[0]}")
        command, words = inner, words[1:]
    return command.make_context(command.name, words)


@pytest.mark.parametrize("line", SIGNALBOX_LINES, ids=str)
def test_the_command_line_takes_what_the_page_says_and_it_goes_to_the_cluster(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bill.csv").touch()
    monkeypatch.chdir(tmp_path)
    for found in SIGNALBOX.finditer(line.text):
        written = found[2].replace("/tmp/bill.csv", "bill.csv")
        words = [WRITTEN.get(word, word) for word in shlex.split(written)]
        context = _parsed(words)
        if context.command.name == "rollback":
            assert context.params["generation"] or context.params["end"], "of which generation?"
        if "cluster" in context.params:
            assert context.params["cluster"], "there is no state folder where a cluster is"
        if "socket" in context.params or context.command.name in OF_A_LEDGER:
            assert IN_THE_POD.search(line.text), "the ledger answers in the pod alone"


@pytest.mark.parametrize("line", HELM_LINES, ids=str)
def test_helm_is_told_the_namespace(line: Line) -> None:
    for found in HELM.findall(line.text):
        assert "--namespace signalbox-system" in found


def test_the_pages_have_such_commands() -> None:
    """So that the tests above mean something."""
    names = {
        found[2].split()[0] for line in SIGNALBOX_LINES for found in SIGNALBOX.finditer(line.text)
    }
    assert {
        "ledger",
        "proxies",
        "runs",
        "report",
        "reconcile",
        "history",
        "rollback",
        "explain",
    } <= names
    assert len(HELM_LINES) >= 5

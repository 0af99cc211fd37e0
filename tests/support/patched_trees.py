"""Copies of the tree with a patch applied, and what runs in them: for mutants and planted bugs.

A patch is a unified diff with a head of its own, lines of `name: value` before the first file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from support.figures import FILE_VARIABLE
from support.timing import LONGEST_WAIT_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
PACKAGE_FOLDERS = ("crds", "operator", "proxy")
TESTS_FAILED = 1  # pytest's exit code: it ran, and some failed
LIMIT_S = 300
BROKEN_WAIT_S = 15
OPTIONS = (
    *("-q", "-x", "--no-header", "-p", "no:cacheprovider", "-m", "not proof"),
    *("--assert=plain", "--tb=no"),  # what differs is nobody's question: that it does, is
    *("-p", "pytest_asyncio.plugin"),  # of the plugins that are installed, the one that tests need
)


class PatchError(Exception):
    """A patch does not fit the tree any more."""


@dataclass(frozen=True)
class Patch:
    """One patch and what its head says."""

    name: str
    head: Mapping[str, str]
    path: Path

    @property
    def caught_by(self) -> tuple[str, ...]:
        """The tests that its head names."""
        return tuple(self.head.get("caught-by", "").split())


def read(path: Path, *required: str) -> Patch:
    """Parses the head of a patch file; raises SystemExit naming what is missing."""
    head: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith(("--- ", "diff ")):
            break
        key, colon, value = line.partition(": ")
        if colon:
            head[key.strip()] = value.strip()
    missing = set(required) - head.keys()
    if missing:
        sys.exit(f"{path.name}: the head lacks {', '.join(sorted(missing))}")
    return Patch(path.stem, head, path)


class TreePool:
    """Copies of the tree that serve one patch after the other, for as long as the context lasts."""

    def __init__(self) -> None:
        self._idle: SimpleQueue[Path] = SimpleQueue()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="signalbox-patched-")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._folder is not None
        self._folder.cleanup()

    @contextmanager
    def tree_with(self, patch: Patch | None) -> Iterator[Path]:
        """A copy that nobody else uses, with the patch applied. Raises PatchError where it does
        not apply."""
        tree = self._take()
        if patch is not None:
            _apply(patch, tree)
        yield tree
        if patch is not None:
            _apply(patch, tree, "--reverse")
        self._idle.put(tree)

    def _take(self) -> Path:
        try:
            return self._idle.get_nowait()
        except Empty:
            assert self._folder is not None
            tree = Path(tempfile.mkdtemp(dir=self._folder.name))
            _copy_tree(tree)
            return tree


def _copy_tree(target: Path) -> None:
    """Copies what git knows or would know of, so that no state of this machine leaks in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def _apply(patch: Patch, tree: Path, *options: str) -> None:
    applied = subprocess.run(
        ["git", "apply", "--recount", *options, str(patch.path)],
        cwd=tree,
        capture_output=True,
        text=True,
    )
    if applied.returncode:
        raise PatchError(f"does not apply: {applied.stderr.strip().splitlines()[0]}")


def environment_of(tree: Path, *, is_broken: bool = True) -> dict[str, str]:
    """This process's environment, with the packages of that tree; what runs there tells its figures
    to nobody. No plugin of pytest is loaded because it happens to be installed; in CI, Hypothesis
    draws the same examples every time. In a tree that is broken on purpose nobody waits long."""
    inherited = {name: value for name, value in os.environ.items() if name != FILE_VARIABLE}
    longest = {LONGEST_WAIT_VARIABLE: str(BROKEN_WAIT_S)} if is_broken else {}
    return (
        inherited
        | longest
        | {
            "CI": "true",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(str(tree / each) for each in PACKAGE_FOLDERS),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )


def run_tests(
    tree: Path, names: Iterable[str], *, limit_s: float = LIMIT_S, is_broken: bool = True
) -> tuple[int, str]:
    """Runs tests in a tree of their own; pytest's exit code and the end of what it says."""
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS, *names],
            cwd=tree,
            env=environment_of(tree, is_broken=is_broken),
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return -1, f"the tests did not end within {limit_s} s"
    said = (ran.stdout.strip() or ran.stderr.strip() or "no output").splitlines()
    return ran.returncode, "\n".join(said[-2:] if ran.returncode else said[-1:])


def is_caught(code: int, last: str) -> bool:
    """Whether pytest ran and a test failed: anything else shows nothing."""
    return code == TESTS_FAILED and " failed" in last

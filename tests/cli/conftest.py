"""One running quickstart for the tests of a module, and a way to run commands without one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from signalbox_cli.main import main
from support.running import QUICKSTART, Running, running_up

DEV_KEY = ("--dev-key", "retail/assistant")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the quickstart that tests may edit."""
    folder = tmp_path_factory.mktemp("manifests") / "quickstart"
    shutil.copytree(QUICKSTART, folder)
    return folder


@pytest.fixture(scope="module")
def running(manifests: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`signalbox up` on the copy."""
    with running_up(tmp_path_factory.mktemp("up"), manifests, DEV_KEY) as started:
        yield started


class Command:
    """Runs commands in this process, for those that need nothing running."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, arguments, input=stdin, prog_name="signalbox")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def command() -> Command:
    return Command()

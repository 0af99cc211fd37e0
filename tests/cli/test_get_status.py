"""`signalbox get` for programs: objects whole, as a cluster would give them."""

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from signalbox_cli.board import Board
from signalbox_cli.state import StateFolder
from signalbox_cli.up_server import UpServer

OBJECTS: list[dict[str, Any]] = [
    {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": "Budget",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"limit": {"usd": "5"}},
        "status": {"settled": "1.25", "conditions": [{"type": "Accepted", "status": "True"}]},
    }
    for name in ("day", "month")
]


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder on whose socket these objects are told."""
    loop, board = asyncio.new_event_loop(), Board()
    board.replace(OBJECTS)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    # pytest's own paths are longer than the 108 bytes of a Unix socket's address.
    with tempfile.TemporaryDirectory(prefix="sb") as folder:

        async def start() -> UpServer:
            server = UpServer(board, dict)
            await server.start(StateFolder.at(Path(folder)).up_socket)
            return server

        server = asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield Path(folder)
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_objects_are_written_with_their_status(
    command: Callable[..., Result], state: Path, form: str, read: Callable[[str], Any]
) -> None:
    listed = read(command("get", "budgets", "-o", form, "--state", str(state)).stdout)
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    assert [item["status"] for item in listed["items"]] == [each["status"] for each in OBJECTS]
    one = read(command("get", "budget/day", "-o", form, "--state", str(state)).stdout)
    assert (one["metadata"]["name"], one["status"]) == ("day", OBJECTS[0]["status"])


def test_what_is_not_there_is_an_error(command: Callable[..., Result], state: Path) -> None:
    result = command("get", "budget", "week", "--state", str(state))
    assert result.exit_code == 1
    assert '"week" not found' in result.stderr

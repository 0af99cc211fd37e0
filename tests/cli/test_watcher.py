"""What tells `up` that a manifest changed, whatever else lies in the folder; and how it is told."""

import asyncio
import os
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from signalbox_cli.check import print_remarks
from signalbox_cli.manifest_folder import compiled, read
from signalbox_cli.watcher import fingerprint, watch_folder

NO_TEXT = b"\xff.yaml"


async def changed(changes: AsyncIterator[None]) -> None:
    async with asyncio.timeout(90):
        await anext(changes)


async def test_a_file_name_that_is_no_text_does_not_end_the_watch(tmp_path: Path) -> None:
    changes = watch_folder(tmp_path, fingerprint(tmp_path))
    for name in (NO_TEXT, b"one.yaml", b"two.yaml"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("{}")
        await changed(changes)


async def test_a_folder_that_was_gone_for_a_while_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "one.yaml").write_text("{}")
    changes = watch_folder(folder, fingerprint(folder))
    folder.rename(tmp_path / "away")
    await changed(changes)
    (tmp_path / "away").rename(folder)
    await changed(changes)
    (folder / "two.yaml").write_text("{}")
    await changed(changes)


@pytest.mark.parametrize("value", ["[/x]", "[bold]", "\\x1b[31m", "[link=a]y"])
def test_what_a_manifest_says_is_shown_as_it_is(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: signalbox.dev/v1alpha1\nkind: Budget\nmetadata: {name: b}\n"
        f'spec: {{scope: {{all: true}}, limit: {{usd: "{value}"}}, window: {{every: day}}}}\n'
    )
    written = StringIO()
    whole = compiled(read(tmp_path), (), platform_namespace="signalbox-system")
    terminal = Console(file=written, force_terminal=True, width=400, color_system=None)
    print_remarks(terminal, whole.remarks)
    shown = written.getvalue()
    assert "\x1b" not in shown
    assert value.removeprefix("\\x1b") in shown

"""The JavaScript SDKs as speakers: one Node process answers for all of them.

What an application says is built by the Python speakers, so that both languages say the same; sent
and put together it is by the JavaScript SDK. Its answer is then read as the Python types of the
same API. Packages are installed once, into the cache, at the versions of
tests/javascript/package-lock.json.
"""

import fcntl
import hashlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from support.speakers import Ask, Heard, PythonSpeaker

SOURCES: Final = Path(__file__).resolve().parents[1] / "javascript"
_ANSWERS: Final[dict[str, type[BaseModel]]] = {
    "chat": ChatCompletion,
    "messages": Message,
    "responses": Response,
}


class JavascriptError(Exception):
    """What the JavaScript SDK threw. `body` is what it read of the server's error."""

    def __init__(self, name: str, status: int, body: object, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.status = status
        self.body = body


class Node:
    """A running script of tests/javascript: one document in, one out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._ids = itertools.count()

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Have the script do something. Raises JavascriptError for what it threw."""
        asked["id"] = next(self._ids)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert heard["id"] == asked["id"]
        if error := heard.get("error"):
            raise JavascriptError(**error)
        return heard


@contextmanager
def node(script: str) -> Iterator[Node]:
    """Start a script, with the packages that it imports."""
    require_node()
    folder = _installed(script)
    process = subprocess.Popen(
        ["node", script],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "NO_COLOR": "1"},
    )
    with process:
        try:
            yield Node(process)
        finally:
            process.terminate()


@dataclass
class JavascriptSpeaker:
    """An official JavaScript client, as a Speaker."""

    node: Node
    surface: str
    words: PythonSpeaker
    url: str
    key: str
    bad_request: type[Exception] = JavascriptError

    def say(self, model: str, ask: Ask) -> Heard:
        return self._say(model, ask, stream=False)

    def stream(self, model: str, ask: Ask) -> Heard:
        return self._say(model, ask, stream=True)

    def _say(self, model: str, ask: Ask, *, stream: bool) -> Heard:
        request = self.words.request(model, ask)
        if stream and self.surface == "chat":
            request["stream_options"] = {"include_usage": True}
        heard = self.node.ask(
            surface=self.surface, stream=stream, url=self.url, key=self.key, request=request
        )
        answer = _ANSWERS[self.surface].model_validate(heard["answer"])
        return self.words.heard(answer, heard["run"])


def require_node() -> None:
    """Skip the test where there is no Node; with CI=true that is a failure."""
    if shutil.which("node") and shutil.which("npm"):
        return
    reason = "the JavaScript SDKs need node and npm (Debian: nodejs npm)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _installed(script: str) -> Path:
    """The folder with the script and the packages; installed by whoever comes first."""
    files = [SOURCES / "package.json", SOURCES / "package-lock.json", SOURCES / script]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files[:2])).hexdigest()[:16]
    cache = Path(os.environ.get("SIGNALBOX_CACHE") or Path.home() / ".cache" / "signalbox")
    folder = cache / f"javascript-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in files:
            copy = folder / file.name
            if not copy.exists() or copy.read_bytes() != file.read_bytes():
                shutil.copyfile(file, copy)
        if not (folder / "installed").exists():
            _install(folder)
            (folder / "installed").touch()
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")

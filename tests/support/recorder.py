"""A provider that answers as told and remembers every byte it was sent: the witness of headers."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Yes."},
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def everything(self) -> str:
        return f"{self.method} {self.target} {self.headers} {self.body.decode(errors='replace')}"


@dataclass
class Recorder:
    """Listens on 127.0.0.1; `answer` gives status, headers and body for each request."""

    answer: Callable[[Seen], tuple[int, dict[str, str], bytes]] = field(
        default=lambda seen: (200, {}, json.dumps(ANSWER).encode())
    )
    seen: list[Seen] = field(default_factory=list)
    silent: bool = False
    """Heads promise a body of ten bytes, and the connection ends without it."""

    def __enter__(self) -> Self:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                names = [name.lower() for name in self.headers]
                assert len(names) == len(set(names)), names
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, body)
                recorder.seen.append(seen)
                status, more, answer = recorder.answer(seen)
                self.send_response(status)
                for name, value in {"content-type": "application/json", **more}.items():
                    self.send_header(name, value)
                length = 10 if recorder.silent else len(answer)
                self.send_header("content-length", str(length))
                self.end_headers()
                self.close_connection = self.close_connection or recorder.silent
                self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815  the name that the standard library asks for

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  likewise
                del format, args

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

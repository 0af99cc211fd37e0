"""Large answers share one room: however many come at once, what is kept of them is bounded."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from signalbox_proxy.answer_room import FREE, AnswerRoom
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.upload_room import UploadRoom
from signalbox_proxy.upstream import PooledUpstream, UpstreamCall

MIB = 1024 * 1024
LIMIT = 4 * MIB
"""Most bytes of one answer here: what an answer of unknown length waits for."""

FOR_EVER = float("inf")


class Painter(BaseHTTPRequestHandler):
    """A provider of large answers: `/SIZE` tells their length, `/chunked/SIZE` does not."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        is_chunked = self.path.startswith("/chunked/")
        self.send_header(
            *(("transfer-encoding", "chunked") if is_chunked else ("content-length", str(size)))
        )
        self.end_headers()
        for start in range(0, size, 65_536):
            piece = bytes(min(65_536, size - start))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


@contextmanager
def painting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Painter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class WatchedRoom(UploadRoom):
    """Remembers the most that was taken at once."""

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.most = self.taken = 0

    def enter(self, size: int, agent: str) -> None:
        super().enter(size, agent)
        self.taken += size
        self.most = max(self.most, self.taken)

    def leave(self, size: int, agent: str) -> None:
        self.taken -= size
        super().leave(size, agent)


async def drawn(upstream: PooledUpstream, url: str, room: AnswerRoom, timeout_s: float = 60) -> int:
    """The length of an answer, and of what it takes room for until it is sent."""
    answer = await upstream.send(UpstreamCall(url, {}, b"{}", timeout_s))
    body = await answer.read(LIMIT, room)
    await asyncio.sleep(0)  # the client is sent it
    room.leave()
    return len(body)


@pytest.mark.parametrize("path", ["", "chunked/"])
async def test_many_large_answers_at_once_keep_no_more_than_the_room(path: str) -> None:
    room, upstream = WatchedRoom(16 * MIB), PooledUpstream()
    with painting() as url:
        lengths = await asyncio.gather(
            *(
                drawn(upstream, f"{url}/{path}{3 * MIB}", AnswerRoom(room, f"shop/{number}"))
                for number in range(24)
            )
        )
        await upstream.close()
    assert set(lengths) == {3 * MIB}, "each comes whole"
    assert (room.most <= 16 * MIB, room.taken) == (True, 0)
    assert room.most >= 3 * MIB, "they took room at all"


async def test_small_answers_ask_for_no_room() -> None:
    room, upstream = UploadRoom(0), PooledUpstream()
    with painting() as url:
        assert await drawn(upstream, f"{url}/{FREE}", AnswerRoom(room, "shop/bot")) == FREE
        await upstream.close()


async def test_an_answer_that_gets_no_room_in_time_is_refused_for_good_and_takes_none() -> None:
    room, upstream = UploadRoom(16 * MIB), PooledUpstream()
    room.enter(4 * MIB, "shop/bot")
    waiting = AnswerRoom(room, "shop/bot")
    with painting() as url:
        with pytest.raises(Refusal) as refused:
            await drawn(upstream, f"{url}/{3 * MIB}", waiting, timeout_s=5)
        await upstream.close()
    assert (refused.value.code, refused.value.is_final) == ("not_ready", True)
    assert not waiting.is_taken
    room.leave(4 * MIB, "shop/bot")
    room.enter(4 * MIB, "shop/bot")


async def test_what_did_not_come_is_given_back_and_a_second_attempt_waits_for_no_first() -> None:
    room = UploadRoom(16)
    held = AnswerRoom(room, "shop/bot")
    await held.enter(4, FOR_EVER)
    held.keep(3)
    with pytest.raises(Refusal):
        room.enter(2, "shop/bot")
    await held.enter(4, FOR_EVER)
    held.leave()
    room.enter(4, "shop/bot")

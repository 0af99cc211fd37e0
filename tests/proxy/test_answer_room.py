"""Large answers share one room: however many come at once, what is kept of them is bounded."""

import asyncio
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from signalbox_proxy.answer_room import FREE, AnswerRoom
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.upload_room import UploadRoom
from signalbox_proxy.upstream import PooledUpstream, UpstreamCall
from signalbox_snapshot.snapshot import Model, PriceTable, Tier, UnitPrice
from support.fleet import Fleet
from support.rooms import has_room
from support.snapshots import PLATFORM, key_of, lane, model, snapshot

MIB = 1024 * 1024
LIMIT = 4 * MIB
"""Most bytes of one answer here: what an answer of unknown length waits for."""

AT_ONCE = 24


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
def painting(painter: type[BaseHTTPRequestHandler] = Painter) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), painter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Gallery(BaseHTTPRequestHandler):
    """A provider whose images are all begun before any of them is sent."""

    protocol_version = "HTTP/1.1"
    together = threading.Barrier(AT_ONCE)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        image = b'{"created": 1, "data": [{"b64_json": "%s"}]}' % (b"A" * 12 * MIB)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(image)))
        self.end_headers()
        self.together.wait(120)
        self.wfile.write(image)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


class WatchedRoom(UploadRoom):
    """Remembers the most that was taken at once."""

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.most = self.taken = 0

    async def enter_answer(self, size: int, agent: str) -> int:
        size = await super().enter_answer(size, agent)
        self.taken += size
        self.most = max(self.most, self.taken)
        return size

    def leave_answer(self, size: int, agent: str) -> None:
        self.taken -= size
        super().leave_answer(size, agent)


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
    await room.enter_answer(4 * MIB, "shop/bot")
    waiting = AnswerRoom(room, "shop/bot")
    with painting() as url:
        with pytest.raises(Refusal) as refused:
            await drawn(upstream, f"{url}/{3 * MIB}", waiting, timeout_s=5)
        await upstream.close()
    assert (refused.value.code, refused.value.is_final) == ("not_ready", True)
    assert not waiting.is_taken
    room.leave_answer(4 * MIB, "shop/bot")
    assert await has_room(room, 4 * MIB, "shop/bot")


async def test_an_answer_waits_for_no_file_its_own_request_s_least_of_all() -> None:
    """Every agent keeps its files until it has its answer, which may be as long as any."""
    room, upstream = UploadRoom(16 * MIB), PooledUpstream()
    agents = ["shop/bot", "shop/other", "shop/third"]
    for agent in agents:
        room.enter(4 * MIB, agent)
    with painting() as url:
        path = f"{url}/chunked/{3 * MIB}"
        answers = (
            drawn(upstream, path, AnswerRoom(room, agent), timeout_s=20)
            for agent in [*agents, "shop/fourth"]
        )
        assert await asyncio.gather(*answers) == [3 * MIB] * 4
        await upstream.close()


async def test_what_did_not_come_is_given_back_and_a_second_attempt_waits_for_no_first() -> None:
    room = UploadRoom(16)
    held = AnswerRoom(room, "shop/bot")
    until = asyncio.get_running_loop().time() + 20
    await held.enter(4, until)
    held.keep(3)
    assert [await has_room(room, size, "shop/bot") for size in (1, 2)] == [True, False]
    await held.enter(4, until)
    held.leave()
    assert await has_room(room, 4, "shop/bot")


def painter(url: str) -> Model:
    """A model that bills by the image, at the gallery."""
    nothing = Tier(input=0, cached_input=0, cache_write_5m=None, cache_write_1h=None, output=0)
    forty = UnitPrice(meter="images", price=40_000_000)
    table = PriceTable(standard=nothing, units=[forty], without_tokens=True)
    there = lane("us", endpoint=url, price=table)
    return model(f"{PLATFORM}/painter", lanes=[there], capabilities=["imageGeneration"])


def draw(url: str) -> int:
    """How many bytes an image has, read as a client does that keeps none of them."""
    request = urllib.request.Request(
        f"{url}/v1/images/generations",
        data=b'{"model": "painter", "prompt": "Fog"}',
        headers={
            "authorization": f"Bearer {key_of('retail/support')}",
            "content-type": "application/json",
        },
    )
    size = 0
    with urllib.request.urlopen(request, timeout=300) as answer:
        while piece := answer.read(65_536):
            size += len(piece)
    return size


def memory_peak(pid: int) -> int:
    """The most memory that a process had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_many_images_at_once_do_not_exhaust_a_proxy(fleet: Fleet) -> None:
    with painting(Gallery) as url:
        fleet.push(snapshot(models=[painter(url)]), move=False)
        proxy = fleet.proxies[0]
        before = memory_peak(proxy.process.pid)
        with ThreadPoolExecutor(AT_ONCE) as clients:
            sizes = set(clients.map(draw, [proxy.url] * AT_ONCE))
        grown = memory_peak(proxy.process.pid) - before
    (size,) = sizes
    assert size > 12 * MIB
    assert grown < AT_ONCE * 12 * MIB * 3 // 4, "of one agent, a quarter of the room at a time"

"""The client under the upstream: what it sends, what it takes for an answer, what it uses again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from signalbox_proxy.http_client import HttpClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEADERS = {"content-type": "application/json"}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(handler: Handler, story: Callable[[HttpClient, str], Awaitable[None]]) -> None:
    """Runs `story` with a client and the URL of a server whose connections `handler` serves."""

    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x?y=1"
        client = HttpClient(connect_timeout_s=60, keep_s=60)
        try:
            await asyncio.wait_for(story(client, url), 90)
        finally:
            await client.close()
            server.close()
            await asyncio.gather(*served)

    asyncio.run(run())


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


def test_a_call_is_sent_as_given_and_its_connection_is_used_again() -> None:
    seen: list[tuple[bytes, bytes]] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while len(seen) < 2:
            seen.append(await read_request(reader))
            writer.write(OK)

    async def story(client: HttpClient, url: str) -> None:
        for _ in range(2):
            response = await client.post(url, HEADERS, b'{"a":1}')
            assert (response.status, await response.content.read()) == (200, b"hi")

    ask(serve, story)
    assert connections == 1
    head, body = seen[0]
    assert body == b'{"a":1}'
    first, host, *rest = head.split(b"\r\n")
    assert first == b"POST /v1/x?y=1 HTTP/1.1"
    assert host.startswith(b"host: 127.0.0.1:")
    assert rest == [b"content-type: application/json", b"content-length: 7", b"", b""]


def test_informational_answers_are_passed_over() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK)
        await writer.drain()

    async def story(client: HttpClient, url: str) -> None:
        response = await client.post(url, HEADERS, b"{}")
        assert (response.status, await response.content.read()) == (200, b"hi")

    ask(serve, story)


def test_an_answer_before_the_request_was_sent_ends_the_connection() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")  # the head; the body stays in the socket
        writer.write(OK)
        await writer.drain()
        if connections == 1:
            await reader.read(-1)

    async def story(client: HttpClient, url: str) -> None:
        for body in (b"x" * 64 * 1024 * 1024, b"{}"):
            response = await client.post(url, HEADERS, body)
            assert (response.status, await response.content.read()) == (200, b"hi")

    ask(serve, story)
    assert connections == 2


@pytest.mark.parametrize("value", ["a\r\nx-other: b", "a\nb", "a\rb", "a\0b"])
def test_a_header_with_a_line_break_is_never_sent(value: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("a connection was made")

    async def story(client: HttpClient, url: str) -> None:
        with pytest.raises(ValueError, match="line break"):
            await client.post(url, {"x-key": value}, b"{}")

    ask(serve, story)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"220 smtp ready\r\n"])
def test_what_is_no_answer_is_an_error_after_sending(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)

    async def story(client: HttpClient, url: str) -> None:
        with pytest.raises((aiohttp.ClientError, OSError)) as raised:
            await client.post(url, HEADERS, b"{}")
        assert not isinstance(raised.value, aiohttp.ClientConnectorError)

    ask(serve, story)

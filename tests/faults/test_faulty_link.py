"""The link fails as it was told, and not otherwise."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from support.faulty_link import FaultyLink
from support.postgres import PostgresServer
from support.timing import least


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@pytest.fixture
def link() -> Iterator[FaultyLink]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with FaultyLink(server.server_address[1]) as started:
                yield started
        finally:
            server.shutdown()
            thread.join()


def connect(link: FaultyLink) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=60)


def asked(client: socket.socket, data: bytes = b"hello") -> bytes:
    client.sendall(data)
    return received(client, len(data))


def received(client: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (more := client.recv(65536)):
        got += more
    return got


def timed(client: socket.socket, data: bytes = b"hello") -> float:
    began = time.monotonic()
    assert asked(client, data) == data
    return time.monotonic() - began


def test_without_faults_every_byte_passes_both_ways(link: FaultyLink) -> None:
    with connect(link) as client:
        data = bytes(range(256)) * 4096
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert received(client, len(data)) == data
        sender.join()
    assert link.accepted == 1


def test_latency_delays_each_direction_that_it_acts_on(link: FaultyLink) -> None:
    with connect(link) as client:
        link.set(latency_s=0.1)
        assert timed(client) >= 0.2
        link.set(latency_s=0.1, direction="down")
        assert least(lambda: timed(client), 0.2) < 0.2
        assert timed(client) >= 0.1


def test_healing_ends_a_latency_that_is_under_way(link: FaultyLink) -> None:
    with connect(link) as client:
        link.set(latency_s=60.0)
        client.sendall(b"x")
        link.heal()
        assert received(client, 1) == b"x"


def test_down_refuses_and_closes_and_comes_back_on_the_same_port(link: FaultyLink) -> None:
    with connect(link) as client:
        asked(client)
        link.set(down=True)
        assert client.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(link)
    link.heal()
    with connect(link) as client:
        assert asked(client) == b"hello"


def test_reset_tears_open_and_new_connections(link: FaultyLink) -> None:
    with connect(link) as client:
        asked(client)
        link.set(reset=True)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    # Torn while it is made, or right after.
    with pytest.raises(ConnectionResetError), connect(link) as client:
        client.recv(1)


def test_a_silent_link_keeps_what_it_got_and_delivers_it_late(link: FaultyLink) -> None:
    with connect(link) as client:
        asked(client)
        link.set(silent=True)
        client.sendall(b"late")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        link.heal()
        assert received(client, 4) == b"late"


def test_silence_with_a_timeout_ends_the_connection(link: FaultyLink) -> None:
    with connect(link) as client:
        asked(client)
        link.set(silent=True, timeout_s=0.1)
        client.sendall(b"x")
        assert client.recv(1) == b""


def test_bandwidth_and_slices_make_it_slow(link: FaultyLink) -> None:
    with connect(link) as client:
        link.set(bytes_per_s=1000)
        assert timed(client, b"x" * 100) >= 0.2
        link.set(slice_bytes=1, slice_pause_s=0.02)
        assert timed(client, b"x" * 5) >= 0.1


def test_data_beyond_the_limit_never_comes(link: FaultyLink) -> None:
    with connect(link) as client:
        link.set(limit_bytes=3)
        assert asked(client, b"abc") == b"abc"
        assert client.recv(1) == b""


def test_a_slow_close_is_noticed_late(link: FaultyLink) -> None:
    with connect(link) as client:
        asked(client)
        link.set(close_delay_s=0.15)
        began = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert time.monotonic() - began >= 0.15


def test_the_reply_to_one_request_is_cut_in_its_middle(link: FaultyLink) -> None:
    with connect(link) as client:
        link.cut_reply(keep=2, to=b"COMMIT")
        assert asked(client, b"BEGIN") == b"BEGIN"
        client.sendall(b"COMMIT")
        assert client.recv(2) == b"CO"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert link.cuts == 1
    with connect(link) as client:
        assert asked(client, b"COMMIT") == b"COMMIT"


def test_half_a_reply_is_followed_by_silence(link: FaultyLink) -> None:
    with connect(link) as client:
        link.half_reply(keep=3)
        client.sendall(b"hello")
        assert client.recv(65536) == b"hel"
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_a_commit_whose_reply_is_lost_has_happened_all_the_same(
    postgres_server: PostgresServer,
) -> None:
    name = postgres_server.create_database()
    with FaultyLink(postgres_server.port) as link:
        with psycopg.connect(postgres_server.dsn(name, port=link.port)) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
        connection = psycopg.connect(postgres_server.dsn(name, port=link.port))
        connection.execute("INSERT INTO kept VALUES (1)")
        link.cut_reply(keep=0, to=b"COMMIT")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        connection.close()
    assert postgres_server.query("SELECT number FROM kept", database=name) == [(1,)]
    postgres_server.drop_database(name)

"""The systems that the bench compares: how each is started, pinned and asked."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from load import NUMBER

from signalbox_snapshot import codec, envelope, signing_keys
from support.running import child_environment, free_ports

HERE = Path(__file__).resolve().parent
FIRST_CORE = "0"
LAST_CORE = str((os.cpu_count() or 1) - 1)
SECRET = secrets.token_urlsafe(32)
KEY = f"sbx.shop.search.{SECRET}"
FLEET = "bench"
LIMIT_S = 60

HTTP_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3"
ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: mock, timeout: 60s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: mock
    type: STATIC
    load_assignment:
      cluster_name: mock
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


@dataclass(frozen=True)
class System:
    """A running system: where it listens, which processes are its cost, what it is asked."""

    name: str
    port: int
    pids: list[int]
    request: bytes


def chat_request(port: int) -> bytes:
    """One chat request of about a kilobyte, as an SDK would send it."""
    body = json.dumps(
        {
            "model": "gpt-bench",
            "messages": [
                {"role": "system", "content": "You are the search assistant of a shop. " * 8},
                {"role": "user", "content": NUMBER + " Which of these shoes are waterproof? " * 10},
            ],
            "max_tokens": 256,
            "temperature": 0.2,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nUser-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def process(
    core: str, *command: str, ready: str = "ready", log: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Starts a pinned process and yields it with its first line once that says `ready`."""
    errors = log.open("w") if log else None
    started = subprocess.Popen(
        ["taskset", "-c", core, *command],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=child_environment(),
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline() if ready else ""
        if ready and not line.startswith(ready):
            told = log.read_text() if log else ""
            raise RuntimeError(f"{command[:3]} said {line!r}\n{told}")
        yield started, line
    finally:
        started.terminate()
        try:
            started.wait(20)
        finally:
            started.kill()
            if errors:
                errors.close()


@contextmanager
def mock() -> Iterator[System]:
    with process(FIRST_CORE, sys.executable, str(HERE / "mock.py"), "0") as (running, line):
        port = int(line.split()[1])
        yield System("direct", port, [running.pid], chat_request(port))


@contextmanager
def passthrough(upstream: int) -> Iterator[System]:
    url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
    command = (sys.executable, str(HERE / "passthrough.py"), "0", url)
    with process(LAST_CORE, *command) as (running, line):
        port = int(line.split()[1])
        yield System("passthrough", port, [running.pid], chat_request(port))


@contextmanager
def envoy(upstream: int, folder: Path) -> Iterator[System]:
    (port,) = free_ports(1)
    path = folder / "envoy.yaml"
    path.write_text(ENVOY.format(port=port, upstream=upstream, manager=HTTP_MANAGER))
    binary = str(Path(sys.executable).with_name("envoy"))
    command = (binary, "-c", str(path), "--concurrency", "1", "--log-level", "error")
    with process(LAST_CORE, *command, ready="", log=folder / "envoy.log") as (running, _):
        wait_for(port)
        yield System("envoy", port, [running.pid, *children(running.pid)], chat_request(port))


@contextmanager
def signalbox(upstream: int, folder: Path) -> Iterator[System]:
    """The proxy and its authority, both on the last core, both counted."""
    port, control, metrics = free_ports(3)
    signing = Ed25519PrivateKey.generate()
    store_socket = folder / "authority.sock"
    (folder / "credentials").mkdir()
    (folder / "credentials" / "openai").write_text("bench-credential")
    (folder / "trust.pem").write_bytes(signing_keys.public_pem(signing.public_key()))
    (folder / "control.token").write_text(secrets.token_urlsafe(32))
    (folder / "proxy").mkdir()
    digest = json.dumps(
        ["signalbox-key/v1", "shop", "search", SECRET], separators=(",", ":")
    ).encode()
    payload = codec.encode(
        config.snapshot(f"http://127.0.0.1:{upstream}/v1", hashlib.sha256(digest).hexdigest())
    )
    sealed = envelope.seal(signing, fleet=FLEET, generation=1, payload=payload)
    (folder / "proxy" / "snapshot.json").write_bytes(envelope.encode(sealed))
    authority = (sys.executable, "-m", "signalbox_ledger.authority", "--socket", str(store_socket))
    proxy = (
        *(sys.executable, "-m", "signalbox_proxy", "--name", "proxy-0", "--host", "127.0.0.1"),
        *("--port", str(port), "--control-port", str(control), "--metrics-port", str(metrics)),
        *("--state", str(folder / "proxy"), "--authority", str(store_socket), "--fleet", FLEET),
        *("--credentials", str(folder / "credentials"), "--trust", str(folder / "trust.pem")),
        *("--control-token", str(folder / "control.token")),
    )
    with (
        process(
            LAST_CORE, *authority, "--db", str(folder / "ledger.db"), log=folder / "authority.log"
        ) as (store, _),
        process(LAST_CORE, *proxy, log=folder / "proxy.log") as (running, _),
    ):
        yield System("signalbox", port, [running.pid, store.pid], chat_request(port))


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in listed]


def wait_for(port: int) -> None:
    """Waits until something listens; the bench's own processes say so on standard output."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")

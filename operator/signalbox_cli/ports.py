"""Whether the ports that `up` wants are free, asked before anything is started."""

import errno
import os
import socket
from dataclasses import dataclass

from signalbox_cli.failure import Failure


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port that something will listen on, and how to ask for another."""

    port: int
    use: str
    flag: str


def require_free(host: str, ports: list[Wanted]) -> None:
    """Raises Failure naming the first port that is taken, and the flag to change it."""
    seen: dict[int, Wanted] = {}
    for wanted in ports:
        if wanted.port in seen:
            raise Failure(
                f"port {wanted.port} is asked for twice, for {seen[wanted.port].use} and for"
                f" {wanted.use}; choose another with {wanted.flag}"
            )
        seen[wanted.port] = wanted
        problem = _problem(host, wanted.port)
        if problem:
            raise Failure(
                f"port {wanted.port} on {host}, wanted for {wanted.use}, {problem}; end what uses"
                f" it, or choose another with {wanted.flag}"
            )


def free_port(host: str) -> int:
    """A port that is free now."""
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return int(port)


def _problem(host: str, port: int) -> str:
    with socket.socket(_family(host)) as probe:
        # As servers do: connections that linger in TIME_WAIT are no obstacle, listeners are.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is already in use"
            return f"cannot be used ({os.strerror(error.errno or 0)})"
        return ""


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

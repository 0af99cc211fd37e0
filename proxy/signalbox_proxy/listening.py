"""Sockets that ports listen on, for every way in which an address may be written."""

import contextlib
import socket

BACKLOG = 2048


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket. `::` and "" are all addresses, of both families where the machine has them.

    With `shared` other processes of this machine may listen on the port too. Raises OSError.
    """
    both = host in ("", "::") and socket.has_dualstack_ipv6()
    if both:
        family, address = socket.AF_INET6, "::"
    else:
        found = socket.getaddrinfo(
            host or "0.0.0.0",  # noqa: S104  asked for by whoever left the address out
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        family, address = found[0][0], str(found[0][4][0])
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
        made.setblocking(False)
        made.bind((address, port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made

"""Which proxies there are: the EndpointSlices of their control service, not-ready ones included.

A proxy is not ready before it has a snapshot, so that whoever waited for readiness would wait for
ever. Names are those of the Pods.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final

from signalbox_operator.cluster.api import ClusterApi, endpoint_slices
from signalbox_operator.control_port import ProxyAddress

PORT_NAME: Final = "control"
_SERVICE: Final = "kubernetes.io/service-name"


async def proxies_of(
    api: ClusterApi, namespace: str, service: str, *, scheme: str
) -> tuple[ProxyAddress, ...]:
    """The proxies behind a service: ready ones first, then by name. Raises ApiError."""
    listing = await api.list(endpoint_slices(namespace), labels=f"{_SERVICE}={service}")
    return addresses(listing.items, scheme=scheme)


def addresses(slices: Iterable[Mapping[str, Any]], *, scheme: str) -> tuple[ProxyAddress, ...]:
    """The addresses of EndpointSlices, each proxy once, though it stand in several of them."""
    found: dict[str, tuple[bool, ProxyAddress]] = {}
    for each in slices:
        port = _port(each.get("ports") or ())
        if port is None:
            continue
        for endpoint in each.get("endpoints") or ():
            for address in (endpoint.get("addresses") or ())[:1]:
                name = (endpoint.get("targetRef") or {}).get("name") or f"{address}:{port}"
                proxy = ProxyAddress(name, f"{scheme}://{_host(address)}:{port}")
                found[name] = (_is_ready(endpoint), proxy)
    ordered = sorted(found.values(), key=lambda item: (not item[0], item[1].name))
    return tuple(proxy for _, proxy in ordered)


def _port(ports: Iterable[Mapping[str, Any]]) -> int | None:
    return next((item.get("port") for item in ports if item.get("name") == PORT_NAME), None)


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    return bool((endpoint.get("conditions") or {}).get("ready"))


def _host(address: str) -> str:
    """An address as a URL holds it."""
    return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address

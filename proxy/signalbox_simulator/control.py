"""The simulator's own endpoints: what it saw, and how it is told to misbehave."""

from __future__ import annotations

import hmac
from collections import defaultdict
from dataclasses import asdict, dataclass, field

from aiohttp import web
from pydantic import ValidationError

from .behaviour import Behaviour, Rules


@dataclass
class HostTraffic:
    """What one host saw: requests, body bytes, answers billed, errors given."""

    requests: int = 0
    bytes: int = 0
    billed: int = 0
    refused: int = 0


@dataclass
class Traffic:
    """What all hosts saw; requests for hosts outside the sheet count under ``(unknown)``."""

    hosts: dict[str, HostTraffic] = field(default_factory=lambda: defaultdict(HostTraffic))

    def see(self, host: str, size: int) -> None:
        """Count a request."""
        self.hosts[host].requests += 1
        self.hosts[host].bytes += size


@dataclass
class Control:
    """``/_simulator/``: statistics for everybody, behaviour for the holder of the control token."""

    behaviour: Behaviour
    traffic: Traffic
    token: str | None = field(repr=False)

    async def stats(self, request: web.Request) -> web.Response:
        """Give the traffic by host."""
        hosts = {host: asdict(traffic) for host, traffic in self.traffic.hosts.items()}
        return web.json_response({"hosts": hosts})

    async def behave(self, request: web.Request) -> web.Response:
        """``POST`` replaces the rules, ``DELETE`` removes them."""
        if self.token is None:
            return web.json_response({"error": "start with --control-token FILE"}, status=404)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return web.json_response({"error": "wrong control token"}, status=401)
        if request.method == "DELETE":
            self.behaviour.control(Rules())
            return web.json_response({"rules": 0})
        if request.method != "POST":
            return web.json_response({"error": "POST or DELETE"}, status=405)
        try:
            rules = Rules.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.behaviour.control(rules)
        return web.json_response({"rules": len(rules.rules)})

"""Settings of the proxy process: flags, and environment variables for each of them.

The only place that reads the environment. A flag wins over its variable.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_TRAFFIC_PORT = 8080
DEFAULT_CONTROL_PORT = 8081
DEFAULT_METRICS_PORT = 9090
DEFAULT_DRAIN_S = 25.0


OPTIONAL: tuple[tuple[str, type[object], str], ...] = (
    ("control-certificate", Path, "certificate (PEM) of the control port, which then speaks TLS"),
    ("control-key", Path, "private key (PEM) of that certificate"),
    ("control-ca", Path, "authorities (PEM) that peers' certificates are checked against"),
    ("peers-of", str, "HOST:PORT: the control ports of all addresses behind HOST are peers"),
)
"""Flags that may be left out: name, kind, meaning."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one proxy process runs. Ports may be 0: the system then chooses.

    `environment` is what clouds tell a pod of its identity by.
    """

    name: str
    host: str
    port: int
    control_port: int
    metrics_port: int
    state: Path
    authority: Path
    credentials: Path
    fleet: str
    trust: Path
    control_token: Path
    peers: tuple[str, ...]
    die_with_parent: bool
    unready_s: float
    drain_s: float
    control_certificate: Path | None = None
    control_key: Path | None = None
    control_ca: Path | None = None
    peers_of: str | None = None
    recover: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_settings(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Settings:
    """Read flags and environment; ends the process with a message where something is missing."""
    parser = _parser(environment)
    options = parser.parse_args(arguments)
    peers = options.peer or [
        peer for peer in environment.get("SIGNALBOX_PEERS", "").split(",") if peer
    ]
    if (options.control_certificate is None) != (options.control_key is None):
        parser.error("--control-certificate and --control-key belong together")
    return Settings(
        name=options.name,
        host=options.host,
        port=options.port,
        control_port=options.control_port,
        metrics_port=options.metrics_port,
        state=options.state,
        authority=options.authority,
        credentials=options.credentials,
        fleet=options.fleet,
        trust=options.trust,
        control_token=options.control_token,
        peers=tuple(peers),
        die_with_parent=options.die_with_parent,
        unready_s=options.unready_seconds,
        drain_s=options.drain_seconds,
        control_certificate=options.control_certificate,
        control_key=options.control_key,
        control_ca=options.control_ca,
        peers_of=options.peers_of,
        recover=options.recover,
        environment=environment,
    )


def from_process(arguments: Sequence[str] | None = None) -> Settings:
    """The settings of this process."""
    return read_settings(arguments, os.environ)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox_proxy", description="One proxy of a Signalbox fleet."
    )

    def option(name: str, kind: type[object], default: object, text: str) -> None:
        variable = _variable(name)
        value = environment.get(variable, default)
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=value,
            required=value is None,
            help=f"{text} [{variable}]",
        )

    option("name", str, None, "name of this proxy within its fleet")
    option("host", str, "127.0.0.1", "address to listen on; :: is every one, IPv4 included")
    option("port", int, DEFAULT_TRAFFIC_PORT, "traffic port, shared by the proxies of a machine")
    option("control-port", int, DEFAULT_CONTROL_PORT, "port for snapshots")
    option("metrics-port", int, DEFAULT_METRICS_PORT, "port for metrics and health")
    option("state", Path, None, "folder for journal and last good snapshot")
    option("authority", Path, None, "Unix socket of the ledger's authority")
    option("credentials", Path, None, "folder with the providers' credentials, one file per key")
    option("fleet", str, None, "name of the fleet whose snapshots are accepted")
    option("trust", Path, None, "public keys (PEM, two at most) that sign the fleet's snapshots")
    option(
        "control-token",
        Path,
        None,
        "file with the tokens of the control ports: two lines at most, the first is sent",
    )
    option("unready-seconds", float, 0.0, "time between going unready and closing the port")
    option("drain-seconds", float, DEFAULT_DRAIN_S, "longest wait for requests under way")
    for name, kind, text in OPTIONAL:
        variable = _variable(name)
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=environment.get(variable) or None,
            help=f"{text} [{variable}]",
        )
    parser.add_argument(
        "--recover",
        action="store_true",
        default=environment.get("SIGNALBOX_RECOVER", "") == "true",
        help="first settle what earlier processes left in the journals of --state "
        "[SIGNALBOX_RECOVER=true]",
    )
    parser.add_argument(
        "--peer", action="append", help="control port of a peer to pull from [SIGNALBOX_PEERS]"
    )
    parser.add_argument(
        "--die-with-parent", action="store_true", help="end when the starting process ends"
    )
    return parser


def _variable(name: str) -> str:
    return "SIGNALBOX_" + name.upper().replace("-", "_")

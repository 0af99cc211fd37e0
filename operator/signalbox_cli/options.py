"""Options that several commands share. Each can be set in the environment as SIGNALBOX_NAME."""

import re
from pathlib import Path
from typing import Final

import click

DEFAULT_STATE: Final = ".signalbox"
DEFAULT_PLATFORM_NAMESPACE: Final = "signalbox-system"

state_option = click.option(
    "--state",
    envvar="SIGNALBOX_STATE",
    show_envvar=True,
    default=DEFAULT_STATE,
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds everything a running Signalbox keeps.",
)

socket_option = click.option(
    "--socket",
    envvar="SIGNALBOX_LEDGER_SOCKET",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Socket of the money authority, where it is not the state folder's: in a pod.",
)

platform_namespace_option = click.option(
    "--platform-namespace",
    envvar="SIGNALBOX_PLATFORM_NAMESPACE",
    show_envvar=True,
    default=DEFAULT_PLATFORM_NAMESPACE,
    show_default=True,
    help="Namespace that Models and shared Domains live in.",
)

cluster_option = click.option(
    "--cluster",
    is_flag=True,
    help="Ask the cluster of the kubeconfig (KUBECONFIG, ~/.kube/config), not a state folder.",
)

fleet_option = click.option(
    "--fleet",
    envvar="SIGNALBOX_FLEET",
    show_envvar=True,
    default="",
    help="Name of the Fleet in the cluster; the only one where it is not given.",
)

manifests_argument = click.argument(
    "manifests", metavar="DIR", type=click.Path(exists=True, path_type=Path)
)

_AGENT = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class AgentName(click.ParamType[str]):
    """`namespace/name` of an Agent."""

    name = "namespace/agent"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the value when it is namespace/name; ends the command otherwise."""
        if not _AGENT.fullmatch(value):
            self.fail(f"{value!r} is not an agent; write NAMESPACE/AGENT", param, ctx)
        return value


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")


class Duration(click.ParamType[int]):
    """A duration such as 30s, 15m, 1h, 90d or 2w, in seconds."""

    name = "duration"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns seconds; ends the command when the value is no duration."""
        if isinstance(value, int):
            return value
        match = _DURATION.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a duration; write one such as 15m, 1h or 90d", param, ctx)
        return int(match[1]) * _UNITS[match[2]]

"""`signalbox rotate`: a fleet's signing key, control authority or tokens are changed now."""

from datetime import UTC, datetime

import click

from signalbox_cli.desk_client import who
from signalbox_cli.options import fleet_option, platform_namespace_option
from signalbox_cli.releases import ClusterReleases
from signalbox_cli.terminal import out
from signalbox_operator.trust import RINGS, request_annotation


@click.command("rotate", short_help="Change a cluster's keys, authority or tokens.")
@click.argument("rings", metavar="RING...", type=click.Choice(RINGS), nargs=-1, required=True)
@platform_namespace_option
@fleet_option
def command(rings: tuple[str, ...], platform_namespace: str, fleet: str) -> None:
    """Ask the operator of the kubeconfig's cluster for a new one of each RING: signer (what signs
    snapshots), control (the authority of the control ports), tokens (what opens those ports).

    The new one is added, used once every proxy accepts it, and the old one removed once every proxy
    goes by the new one: nobody is locked out, and a proxy that does not answer holds it up. A key
    that leaked is withdrawn in another way, which docs/security.md tells.

    Exit codes: 0 asked for, 1 the cluster refuses or has no such Fleet, 2 wrong command line.
    """
    asked = f"{datetime.now(tz=UTC).isoformat(timespec='seconds')} {who()}"
    fleets = ClusterReleases(platform_namespace, fleet)
    name = fleets.annotate({request_annotation(ring): asked for ring in rings})
    out().print(
        "Asked for. What it waits for is told by:\n"
        f"  kubectl describe fleet {name} -n {platform_namespace}",
        soft_wrap=True,
    )

"""Settings of the operator process: flags, and an environment variable for each of them.

The only place of the operator that reads the environment. A flag wins over its variable.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

DEFAULT_RELEASE = "signalbox"
DEFAULT_METRICS_PORT = 9090
DEFAULT_WEBHOOK_PORT = 9443


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """How one operator runs. `namespace` is the platform's; `webhook_port` 0 is none."""

    namespace: str
    fleet: str
    release: str
    simulate_url: str | None
    host: str
    metrics_port: int
    webhook_port: int
    webhook_configuration: str
    control_plain: bool
    workload_identity: bool

    @property
    def control_service(self) -> str:
        """The headless service of the proxies' control ports."""
        return f"{self.release}-proxy-control"

    @property
    def control_name(self) -> str:
        """The name that the proxies' control certificate is for."""
        return f"{self.control_service}.{self.namespace}.svc"


def read_settings(
    arguments: Sequence[str] | None, environment: Mapping[str, str]
) -> OperatorSettings:
    """Reads flags and environment; ends the process with a message where something is missing."""
    options = _parser(environment).parse_args(arguments)
    return OperatorSettings(
        namespace=options.namespace,
        fleet=options.fleet or options.release,
        release=options.release,
        simulate_url=options.simulate_url or None,
        host=options.host,
        metrics_port=options.metrics_port,
        webhook_port=options.webhook_port,
        webhook_configuration=options.webhook_configuration,
        control_plain=options.control_plain,
        workload_identity=options.workload_identity,
    )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signalbox_operator", description="The control plane of a Signalbox fleet."
    )

    def option(name: str, kind: Callable[[str], object], default: object, text: str) -> None:
        variable = "SIGNALBOX_" + name.upper().replace("-", "_")
        value = environment.get(variable, default)
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=value,
            required=value is None,
            help=f"{text} [{variable}]",
        )

    option("namespace", str, None, "the platform's namespace, where this operator runs")
    option("release", str, DEFAULT_RELEASE, "name of the release: prefix of its Secrets, Services")
    option("fleet", str, "", "name of the fleet; the release's where it is not given")
    option("simulate-url", str, "", "send every lane to a simulated provider at this address")
    option("host", str, "0.0.0.0", "address to listen on")  # noqa: S104  a pod's own
    option("metrics-port", int, DEFAULT_METRICS_PORT, "port for metrics and health")
    option("webhook-port", int, DEFAULT_WEBHOOK_PORT, "port of the admission webhook, 0 for none")
    option("webhook-configuration", str, "", "ValidatingWebhookConfiguration to keep up to date")
    option("workload-identity", _switch, "true", "whether ServiceAccount tokens prove agents")
    parser.add_argument(
        "--control-plain",
        action="store_true",
        help="call control ports without TLS; for tests on one machine",
    )
    return parser


def _switch(text: str) -> bool:
    if text not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"

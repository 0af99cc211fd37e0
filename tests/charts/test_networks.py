"""Who may reach whom, as the NetworkPolicies say it; judged by a reading of their rules here."""

from dataclasses import dataclass
from typing import Any

import pytest

from support.charts import BUNDLED, COMBINATIONS, FLEET, RELEASE, Objects, Values

Manifest = dict[str, Any]
OUTSIDE: dict[str, str] = {}
"""Labels of a pod that is none of the release's."""


def _labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "signalbox",
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": component,
    }


@dataclass(frozen=True)
class Network:
    """The rules of one rendering. A pod without a policy of a direction may do everything in it."""

    policies: list[Manifest]
    ports: dict[str, dict[str, int]]

    @classmethod
    def of(cls, values: Values) -> "Network":
        objects = Objects.of(values)
        ports = {
            name.removeprefix(f"{RELEASE}-"): {
                port["name"]: port["containerPort"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", [])
            }
            for name, pod in objects.pods().items()
        }
        return cls(objects.kind("NetworkPolicy"), ports)

    def reaches(self, source: dict[str, str], target: str, port: int) -> bool:
        """Whether a pod with the labels of `source`, in the release's namespace, may open a
        connection to a component's port. Both sides have to agree."""
        named = self.ports[target]
        peer = _labels(target)
        return self._allows(source, "Egress", peer, port, named) and self._allows(
            peer, "Ingress", source, port, named
        )

    def goes_out(self, component: str, port: int) -> bool:
        """Whether a component may open a connection to an address outside of the cluster."""
        return self._allows(_labels(component), "Egress", None, port, {})

    def _allows(
        self,
        pod: dict[str, str],
        direction: str,
        peer: dict[str, str] | None,
        port: int,
        named: dict[str, int],
    ) -> bool:
        bound = [
            one["spec"]
            for one in self.policies
            if direction in one["spec"]["policyTypes"]
            and one["spec"]["podSelector"]["matchLabels"].items() <= pod.items()
        ]
        if not bound:
            return True
        side, key = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
        return any(
            _fits_port(rule, port, named) and _fits_peer(rule.get(side), peer)
            for spec in bound
            for rule in spec[key]
        )


def _fits_port(rule: Manifest, port: int, named: dict[str, int]) -> bool:
    ports = rule.get("ports")
    return not ports or any(named.get(one["port"], one["port"]) == port for one in ports)


def _fits_peer(peers: list[Manifest] | None, peer: dict[str, str] | None) -> bool:
    """Without a list everybody fits; blocks of addresses are outside, other namespaces foreign."""
    if not peers:
        return True
    if peer is None:
        return any("ipBlock" in one for one in peers)
    return any(
        one["podSelector"]["matchLabels"].items() <= peer.items()
        for one in peers
        if "podSelector" in one and "namespaceSelector" not in one
    )


@pytest.mark.parametrize("values", [{}, FLEET, {"simulate": True}, BUNDLED], ids=str)
def test_the_control_port_answers_the_operator_and_proxies_alone(values: Values) -> None:
    network = Network.of(values)
    assert network.reaches(_labels("operator"), "proxy", 8081)
    assert network.reaches(_labels("proxy"), "proxy", 8081)
    assert not network.reaches(OUTSIDE, "proxy", 8081)
    for other in ("simulator", "postgresql", "test"):
        assert not network.reaches(_labels(other), "proxy", 8081)


def test_everybody_may_ask_the_proxies_until_clients_are_named() -> None:
    assert Network.of({}).reaches(OUTSIDE, "proxy", 8080)
    named = Network.of(COMBINATIONS["narrow network"])
    assert not named.reaches(OUTSIDE, "proxy", 8080)
    assert named.reaches(_labels("test"), "proxy", 8080), "helm test is one of them"
    assert not named.reaches(OUTSIDE, "proxy", 9090)
    assert not named.reaches(OUTSIDE, "operator", 9090)


def test_the_operator_reaches_names_the_api_server_and_control_ports_and_nothing_else() -> None:
    network = Network.of({"simulate": True, **BUNDLED})
    assert [port for port in (53, 443, 6443) if network.goes_out("operator", port)] == [
        53,
        443,
        6443,
    ]
    for port in (80, 5432, 8080, 9090):
        assert not network.goes_out("operator", port)
    assert not network.reaches(_labels("operator"), "postgresql", 5432)
    assert not network.reaches(_labels("operator"), "simulator", 8080)


def test_with_simulate_no_byte_leaves_the_cluster() -> None:
    network = Network.of({"simulate": True, **BUNDLED})
    assert network.reaches(_labels("proxy"), "simulator", 8080)
    assert network.reaches(_labels("proxy"), "postgresql", 5432)
    for component in ("proxy", "simulator", "postgresql"):
        assert not network.goes_out(component, 443)


def test_providers_that_are_named_are_all_that_proxies_reach_outside() -> None:
    assert Network.of(FLEET).goes_out("proxy", 8443)
    network = Network.of({**FLEET, "networkPolicy": {"providers": [{"ports": [{"port": 443}]}]}})
    assert [port for port in (53, 443, 5432, 8443) if network.goes_out("proxy", port)] == [
        *(53, 443),
        5432,  # the database that a Secret names, which nobody here can read
    ]
    assert network.reaches(_labels("proxy"), "proxy", 8081)


@pytest.mark.parametrize("component", ["postgresql", "simulator"])
def test_the_servers_of_trials_answer_proxies_alone(component: str) -> None:
    network = Network.of({"simulate": True, **BUNDLED})
    port = {"postgresql": 5432, "simulator": 8080}[component]
    assert network.reaches(_labels("proxy"), component, port)
    assert not network.reaches(OUTSIDE, component, port)
    assert not network.reaches(_labels("test"), component, port)

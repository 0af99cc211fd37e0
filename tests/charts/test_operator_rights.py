"""An operator that has exactly the rights of the chart does all that it has to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.apiserver import ApiServer
from support.charts import CHART, NAMESPACE, RELEASE, helm
from support.fleet import Fleet, eventually
from support.kube_client import Kube
from support.operators import PROXY_OPTIONS, OperatorProcess, Platform, everywhere


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A release in a server of its own, with proxies beside it."""
    with ApiServer(tmp_path) as server, Fleet(tmp_path, proxies=1, options=PROXY_OPTIONS) as fleet:
        server.kubectl("create", "namespace", NAMESPACE)
        ran = helm(
            *("install", RELEASE, CHART, "--namespace", NAMESPACE), kubeconfig=server.kubeconfig
        )
        assert ran.returncode == 0, ran.stderr
        made = Platform(server, NAMESPACE, fleet)
        made.install()
        yield made


def test_with_the_charts_rights_an_operator_releases_and_reports(
    platform: Platform, tmp_path: Path
) -> None:
    server = platform.server
    token = server.token(NAMESPACE, f"{RELEASE}-operator")
    account = Kube(server.admin.url, server.authority.pem, token)
    kubeconfig = account.kubeconfig(tmp_path / "operator.kubeconfig", namespace=NAMESPACE)
    with OperatorProcess(platform, tmp_path, kubeconfig=kubeconfig) as operator:
        platform.company()
        everywhere(platform)
        for kind, name in (("Agent", "assistant"), ("Budget", "all"), ("Domain", "retail")):
            eventually(
                lambda kind=kind, name=name: (
                    platform.condition(kind, name, "Programmed").get("status") == "True"
                )
            )
        eventually(lambda: platform.condition("Budget", "starter", "Accepted")["status"] == "True")
        platform.delete("Agent", "assistant")
        generation = platform.generation()
        eventually(lambda: platform.generation() > generation)
        eventually(operator.is_ready)
        log = operator.log.read_text()
    denied = [
        line for line in log.splitlines() if re.search(r"\b403\b|forbidden", line, re.IGNORECASE)
    ]
    assert denied == []

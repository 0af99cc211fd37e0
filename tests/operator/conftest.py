"""A fleet of two real proxies, registered in a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.apiserver import ApiServer
from support.fleet import Fleet
from support.operators import PROXY_OPTIONS, Platform


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, proxies=2, options=PROXY_OPTIONS) as running:
        yield running


@pytest.fixture
def platform(apiserver: ApiServer, namespace: str, fleet: Fleet) -> Platform:
    """Its Secrets are filled and its proxies registered; no operator runs yet."""
    made = Platform(apiserver, namespace, fleet)
    made.install()
    return made

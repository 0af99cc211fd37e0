"""One installation with a model behind each wire format, and agents under each word on caching."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.company import PLATFORM, Company, manifest
from support.crossroads import lane, model, open_crossroads
from support.market import Market


def policy(name: str, agents: list[str], **spec: Any) -> dict[str, Any]:
    return manifest("RoutePolicy", PLATFORM, name, {"match": {"agents": agents}} | spec)


def people(company: Company) -> list[dict[str, Any]]:
    """Two domains; agents whose requests get cache points, lose them, or are left alone."""
    shop, bank = f"{PLATFORM}/shop", f"{PLATFORM}/bank"
    return [
        company.domain("bank", PLATFORM, allowedNamespaces=["bank"]),
        *(company.agent(name, "shop", shop) for name in ("placer", "bare", "other")),
        company.agent("banker", "bank", bank),
        policy("place", ["shop/placer", "bank/banker"], promptCaching="Place"),
        policy("off", ["shop/bare"], promptCaching="Off"),
        # Of two equal lanes the first by name, but for who has its cache on the other.
        model("twins", lane("anthropic"), lane("bedrock")),
        model("uncached", lane("anthropic"), capabilities=["chat", "tools"]),
    ]


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_crossroads(tmp_path_factory.mktemp("caching"), people) as opened:
        yield opened


@pytest.fixture
def market(installation: Market) -> Iterator[Market]:
    yield installation
    installation.behave()

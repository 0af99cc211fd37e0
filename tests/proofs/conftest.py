"""One installation for the proofs that change how the provider behaves, not how Signalbox runs."""

from collections.abc import Iterator

import pytest

from support.market import Market, open_market


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_market(tmp_path_factory.mktemp("market")) as opened:
        yield opened
        opened.behave()

"""A fleet shared by the tests of a module; each test pushes the snapshot that it needs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from signalbox_simulator.process import SimulatorProcess
from support.fleet import Fleet
from support.patience import be_patient
from support.snapshots import CREDENTIALS


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage to a ledger of this process either."""
    be_patient(monkeypatch.setattr)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    folder: Path = tmp_path_factory.mktemp("simulator")
    with SimulatorProcess(credentials=CREDENTIALS, directory=folder, durable=False) as process:
        yield process


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, simulator: SimulatorProcess
) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("fleet"), simulator=simulator) as fleet:
        yield fleet


@pytest.fixture
def fleet(running: Fleet) -> Iterator[Fleet]:
    """The module's fleet; whatever a test taught the simulator is forgotten afterwards."""
    yield running
    running.simulator.behave()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session

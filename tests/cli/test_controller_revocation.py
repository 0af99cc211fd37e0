"""A key that is taken out of a folder stops every proxy, the unreachable ones too."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_cli.controller import Controller
from signalbox_cli.fleet import Fleet
from signalbox_cli.settings import UpSettings
from signalbox_cli.state import StateFolder
from signalbox_ledger import protocol
from signalbox_ledger.asking import connected
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.publish import Publisher
from support.company import PLATFORM, Company, chat_model
from support.ledgers import AuthorityProcess
from support.running import free_ports


@pytest.fixture
def state() -> Iterator[StateFolder]:
    # pytest's own paths are longer than the 108 bytes of a Unix socket's address.
    with tempfile.TemporaryDirectory(prefix="sb") as folder:
        yield StateFolder.at(Path(folder))


@pytest.fixture
def authority(state: StateFolder) -> Iterator[AuthorityProcess]:
    process = AuthorityProcess(state.root, name="authority")
    assert process.socket == state.authority_socket
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def controller(state: StateFolder, company: Company) -> AsyncIterator[Controller]:
    """The control plane of one machine, whose proxies' control ports nobody answers."""
    settings = UpSettings(
        manifests=company.folder,
        state=state,
        simulate=False,
        proxies=1,
        host="127.0.0.1",
        port=0,
        control_port=free_ports(1)[0],
        metrics_port=0,
        credentials=state.root,
        dev_keys=(),
        platform_namespace=PLATFORM,
    )

    async def nobody(_: ProxyAddress) -> None:
        """No proxy is ever started."""

    fleet = Fleet(settings, tell=print, hand_over=nobody)
    async with aiohttp.ClientSession() as session:
        control = ControlPort(session, "token-of-the-control-ports")
        key = Ed25519PrivateKey.generate()
        publisher = Publisher(FileHeadStore(state.head), key, control, fleet="local")
        yield Controller(settings, fleet, publisher, control)


@pytest.fixture
def company(tmp_path: Path) -> Company:
    made = Company(tmp_path / "manifests")
    made.write(
        "company",
        made.domain("retail", PLATFORM),
        made.budget("all", PLATFORM, {"usd": "1"}, scope={"all": True}),
        chat_model("small", "api.mistral.ai", "eu-west-3", "FR"),
    )
    made.write("one", made.agent("one", PLATFORM, "retail"))
    made.write("two", made.agent("two", PLATFORM, "retail"))
    return made


async def bound(authority: AuthorityProcess) -> int:
    """What the authority asks of a holder's snapshot."""
    async with connected(authority.socket) as ask:
        welcome = await ask(protocol.Hello("a", "a-1"))
    assert isinstance(welcome, protocol.Welcome)
    return welcome.min_generation


async def test_a_revocation_reaches_the_ledger_though_no_proxy_can_be_reached(
    controller: Controller, company: Company, authority: AuthorityProcess
) -> None:
    await controller.apply()
    assert await bound(authority) == 0
    (company.folder / "one.yaml").unlink()
    applied = await controller.apply()
    assert not applied.problem
    assert applied.rollout is not None
    assert [each.proxy for each in applied.rollout.unreachable] == ["proxy-0"]
    assert await bound(authority) == applied.rollout.head.generation == 2


async def test_a_ledger_that_was_away_is_told_later(
    controller: Controller, company: Company, authority: AuthorityProcess
) -> None:
    await controller.apply()
    authority.kill()
    (company.folder / "one.yaml").unlink()
    await controller.apply()
    authority.start()
    assert await bound(authority) == 0
    await controller.catch_up(await controller.statuses())
    assert await bound(authority) == 2


async def test_what_takes_nothing_away_stops_nobody(
    controller: Controller, company: Company, authority: AuthorityProcess
) -> None:
    await controller.apply()
    company.write("three", company.agent("three", PLATFORM, "retail"))
    applied = await asyncio.wait_for(controller.apply(), 90)
    assert applied.rollout is not None
    assert (applied.rollout.head.generation, await bound(authority)) == (2, 0)

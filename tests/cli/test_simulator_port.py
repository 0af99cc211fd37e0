"""The simulated provider of `up` finds a port, whoever took the one that it had."""

import socket
import tempfile
from pathlib import Path

from signalbox_cli.fleet import Fleet
from signalbox_cli.settings import UpSettings
from signalbox_cli.state import StateFolder
from signalbox_operator.control_port import ProxyAddress
from support.company import PLATFORM


async def nobody(_: ProxyAddress) -> None:
    """No proxy is ever started."""


async def test_a_simulated_provider_whose_port_was_taken_listens_on_another() -> None:
    with tempfile.TemporaryDirectory(prefix="sb") as folder, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        state = StateFolder.at(Path(folder))
        state.prepare()
        remembered = state.simulator / "port"
        remembered.write_text(str(other.getsockname()[1]))
        settings = UpSettings(
            manifests=Path(folder),
            state=state,
            simulate=True,
            proxies=1,
            host="127.0.0.1",
            port=0,
            control_port=0,
            metrics_port=0,
            credentials=state.root,
            dev_keys=(),
            platform_namespace=PLATFORM,
        )
        fleet = Fleet(settings, tell=print, hand_over=nobody)
        try:
            await fleet.start_simulator()
            assert fleet.simulate_url is not None
            assert fleet.simulate_url.endswith(f":{remembered.read_text()}")
            assert int(remembered.read_text()) != other.getsockname()[1]
        finally:
            await fleet.stop()

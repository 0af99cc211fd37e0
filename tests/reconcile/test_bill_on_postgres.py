"""A bill is compared and booked where the ledger is in PostgreSQL: by DSN, and by the authority at
the socket that the environment names, as in a pod."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from signalbox_cli.main import main
from signalbox_ledger.asking import connected
from signalbox_ledger.journal import RECORD, frame_run
from signalbox_ledger.protocol import (
    Configure,
    Configured,
    Draw,
    DrawItem,
    Drawn,
    Hello,
    Settle,
    Settled,
    Welcome,
)
from signalbox_ledger.records import HoldPart
from support.ledgers import AuthorityProcess, budget
from support.recorded_runs import make_attempt, make_charge, make_run

MONEY = budget("ns/all", 1_000_000)


@pytest.fixture
def state(tmp_path: Path, postgres_dsn: str) -> Iterator[Path]:
    """One call was charged 20,000 nano-USD in full."""
    authority = AuthorityProcess(tmp_path, name="ledger", dsn=postgres_dsn)
    authority.start()
    try:
        asyncio.run(settle(authority.socket))
        yield tmp_path
    finally:
        authority.stop()


async def settle(socket: Path) -> None:
    part = HoldPart(slice_id="s1", budget=MONEY.id, subject="", amount=20_000, spent=20_000)
    attempt = make_attempt(
        settlement="full", cost_nano=20_000, holds=[part], provider_request_id="req_1"
    )
    charge = make_charge(cost=20_000, base=20_000, premium=0, kind="unknown")
    run = make_run("r_1", cost_nano=20_000, attempts=[attempt], charges=[charge])
    item = DrawItem("s1", MONEY.id, "", [20_000], 0, 0, MONEY.basis)
    async with connected(socket) as ask:
        assert isinstance(await ask(Hello("proxy-0", "proxy-0-a")), Welcome)
        assert isinstance(await ask(Configure(1, [MONEY])), Configured)
        assert isinstance(await ask(Draw([item])), Drawn)
        data = frame_run(RECORD, run)
        assert isinstance(await ask(Settle("proxy-0-a", 0, data)), Settled)


def test_a_bill_is_booked_once(state: Path, postgres_dsn: str) -> None:
    bill = state / "bill.csv"
    bill.write_text("provider_request_id,amount_usd\nreq_1,0.000003\n")
    socket = str(state / "ledger.sock")
    environment = {"SIGNALBOX_LEDGER_DSN": postgres_dsn, "SIGNALBOX_LEDGER_SOCKET": socket}

    def reconcile(code: int, *arguments: str) -> dict[str, object]:
        command = ["reconcile", str(bill), "-o", "json", *arguments]
        ran = CliRunner().invoke(main, command, env=environment)
        assert ran.exit_code == code, ran.output
        return dict(json.loads(ran.stdout))

    assert reconcile(1)["counts"] == {"resolved": 1}
    booked = reconcile(0, "--book")["booked"]
    assert isinstance(booked, dict)
    assert (booked["corrections"], booked["given_back"]) == (1, {"usd": "0.000017"})
    again = reconcile(0, "--book")
    assert (again["equal"], again["booked"]) == (True, None)
    status = CliRunner().invoke(main, ["ledger", "status"], env=environment)
    assert (status.exit_code, "PostgreSQL" in status.output) == (0, True)
    assert "1 corrections by providers' bills" in status.output

"""The desk's commands against a running authority: they ask first, and say what was done."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from signalbox_cli.desk_client import warn
from signalbox_cli.main import main
from signalbox_ledger.asking import connected
from signalbox_ledger.journal import encode_run
from signalbox_ledger.protocol import Configure, Configured, Draw, DrawItem, Drawn, Hello, Welcome
from support.ledgers import AuthorityProcess, budget
from support.recorded_runs import make_run

MONEY = budget("ns/day", 2_000_000_000)


@dataclass
class Machine:
    """A state folder with an authority."""

    state: Path
    db: Path

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        result = CliRunner().invoke(main, [*arguments, "--state", str(self.state)], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def change(self, statement: str, parameters: tuple[object, ...] = ()) -> None:
        with closing(sqlite3.connect(self.db, timeout=60)) as connection, connection:
            connection.execute(statement, parameters)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """One holder, proxy-7, drew 0.75 USD and was last heard of long ago."""
    authority = AuthorityProcess(tmp_path)
    authority.start()
    (tmp_path / "authority.sock").symlink_to(authority.socket)
    try:
        asyncio.run(draw(authority.socket))
        made = Machine(tmp_path, authority.db)
        made.change("UPDATE holder SET seen_at = opened_at - 600000")
        yield made
    finally:
        authority.stop()


async def draw(socket: Path) -> None:
    item = DrawItem("s1", MONEY.id, "", [750_000_000], 0, 0, MONEY.basis)
    async with connected(socket) as ask:
        assert isinstance(await ask(Hello("proxy-7", "proxy-7-a")), Welcome)
        assert isinstance(await ask(Configure(1, [MONEY])), Configured)
        assert isinstance(await ask(Draw([item])), Drawn)


def test_a_silent_holder_is_shown_with_what_it_holds(machine: Machine) -> None:
    shown = machine("proxies")
    assert shown.exit_code == 0
    heading, row = shown.output.splitlines()
    assert heading.split() == [
        "NAME",
        "STATE",
        "SEEN",
        "SLICES",
        "HELD",
        "JOURNAL",
        "AGE",
        "HOLDER",
    ]
    assert row.split()[:2] == ["proxy-7", "silent"]
    assert row.split()[3:5] == ["1", "$0.75"]
    (item,) = json.loads(machine("proxies", "-o", "json").stdout)["items"]
    assert (item["state"], item["held"]) == ("silent", {"usd": "0.75"})


def test_a_lost_machine_is_given_up_only_when_a_person_says_yes(machine: Machine) -> None:
    refused = machine("proxies", "lost", "proxy-7", stdin="n\n")
    assert refused.exit_code == 1
    assert "nothing was posted" in refused.output
    posted = machine("proxies", "lost", "proxy-7", stdin="y\n")
    assert posted.exit_code == 0
    assert "proxy-7-a: $0.75 posted as lost (slices: 1); fenced" in posted.output
    assert machine("proxies").stdout == ""
    state = str(machine.state)
    again = CliRunner().invoke(main, ["proxies", "--state", state, "lost", "proxy-7", "--yes"])
    assert (again.exit_code, "fenced already" in again.output) == (1, True)
    with closing(sqlite3.connect(machine.db)) as connection:
        assert connection.execute("SELECT kind, detail FROM desk_order").fetchall() == [
            ("lost", "proxy-7-a: 750000000 usd")
        ]
        assert connection.execute("SELECT ordered_by FROM desk_order").fetchone()[0].count("@") == 1


def test_frozen_draws_are_told_with_their_reason_and_flow_again_on_a_word(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.change("UPDATE ledger_state SET frozen = 'commits were lost', frozen_at = 1000")
    status = machine("ledger", "status")
    assert status.exit_code == 1
    assert "frozen since 1970-01-01T00:00:01Z: commits were lost" in status.output
    assert json.loads(machine("ledger", "status", "-o", "json").stdout)["frozen"] == (
        "commits were lost"
    )
    warn(machine.state)
    assert "draws are frozen: commits were lost" in capsys.readouterr().err
    kept = machine("ledger", "readmit", stdin="n\n")
    assert kept.exit_code == 1
    assert "proxy-7-a is silent" in kept.output
    assert machine("ledger", "readmit", "--yes").stdout == "draws flow again\n"
    assert machine("ledger", "status").exit_code == 0


def test_records_that_were_refused_are_listed_and_offered_again(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    body = encode_run(make_run("r_waits"))
    machine.change(
        "INSERT INTO refused_record VALUES ('proxy-7-a', 9, 'r_waits', 'a rule was broken', ?)",
        (body,),
    )
    listed = machine("ledger", "refused")
    assert listed.exit_code == 1
    assert "r_waits" in listed.output
    assert "a rule was broken" in listed.output
    assert "1 wait: signalbox ledger refused" in machine("ledger", "status").output
    warn(machine.state)
    assert "refused records wait (1)" in capsys.readouterr().err
    retried = machine("ledger", "refused", "--retry")
    assert retried.exit_code == 0
    assert "1 taken, 0 still wait" in retried.output
    warn(machine.state)
    assert capsys.readouterr().err == ""
    assert "r_waits" in machine("runs").output


def test_without_an_authority_it_says_what_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path / "ledger.db")
    for command in (["proxies"], ["ledger", "status"], ["ledger", "rebuild-sums", "--yes"]):
        told = machine(*command)
        assert told.exit_code == 1
        assert "start `signalbox up`" in told.output
        assert "Traceback" not in told.output


def test_a_live_proxy_cannot_be_given_up(machine: Machine) -> None:
    asyncio.run(draw(machine.state / "authority.sock"))
    told = machine("proxies", "lost", "proxy-7", "--yes")
    assert told.exit_code == 1
    assert "proxy-7-a is live" in told.output
    assert json.loads(machine("proxies", "-o", "json").stdout)["items"][0]["slices"] == 1

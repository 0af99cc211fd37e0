"""The command line reads the record of a fleet, too."""

from contextlib import closing

import pytest
from click.testing import CliRunner

from signalbox_cli.main import main
from signalbox_ledger.opening import DSN_VARIABLE, open_database
from support.recorded_runs import make_run, record


def asked(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments], prog_name="signalbox")
    return result.output


def test_runs_and_reports_come_from_the_database_that_the_environment_names(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_database(postgres_dsn)) as ledger:
        record(ledger, [make_run("r_in_postgresql")])
    monkeypatch.setenv(DSN_VARIABLE, postgres_dsn)
    assert "r_in_postgresql" in asked("runs", "-o", "json", "r_in_postgresql")
    assert "signalbox/advisor" in asked("report", "spend", "--by", "agent", "--since", "36500d")


def test_what_cannot_be_read_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DSN_VARIABLE, "postgresql://u:sesame@127.0.0.1:1/x")
    told = asked("runs")
    assert DSN_VARIABLE in told
    assert "sesame" not in told

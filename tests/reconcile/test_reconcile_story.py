"""The whole story: calls are cut, charged in full, and the provider's bill puts them right."""

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from signalbox_simulator import bill as bills
from support.running import QUICKSTART, Running, running_up

PICO = 10**12
PERIOD = ("--provider", "openai", "--lag", "1s")


@dataclass
class Gateway:
    """A running `up`, asked as its users ask it."""

    running: Running

    @property
    def bill(self) -> Path:
        return self.running.state / "simulator" / "bill.jsonl"

    def ask(self, text: str, *, stream: bool = False) -> int:
        """One request; its status, whatever becomes of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=60)
        body = {
            "model": "gpt-5.4-mini",
            "messages": [{"role": "user", "content": text}],
            "stream": stream,
            "max_completion_tokens": 64,
        }
        headers = {
            "Authorization": f"Bearer {self.running.variables['OPENAI_API_KEY']}",
            "Content-Type": "application/json",
        }
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
        except http.client.HTTPException:
            return 0
        finally:
            connection.close()
        return answer.status

    def signalbox(self, *arguments: str) -> tuple[int, str, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "signalbox_cli", *arguments],
            env=self.running.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return ran.returncode, ran.stdout, ran.stderr

    def reconcile(self, *arguments: str | Path, code: int) -> dict[str, Any]:
        """What `reconcile -o json` says of a bill."""
        found = self.signalbox("reconcile", *map(str, arguments), "-o", "json")
        assert found[0] == code, found
        return dict(json.loads(found[1]))

    def charged_nano(self) -> int:
        _, told, _ = self.signalbox("report", "spend", "-o", "json")
        return int(Fraction(json.loads(told)["total"]["cost_usd"]) * 10**9)

    def settled_nano(self, budget: str) -> int:
        status = json.loads(self.running.signalbox("get", "budget", budget, "-o", "json"))["status"]
        return int(Fraction(status["settled"]) * 10**9)

    def recorded(self, runs: int) -> None:
        """Wait until so many runs are recorded."""
        eventually(
            lambda: len(json.loads(self.signalbox("runs", "-o", "json")[1])["items"]) == runs
        )


def eventually(condition: Callable[[], object], limit_s: float = 90) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "not within the limit"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Answered calls, streams that were cut, and a call that was broken off before it began."""
    folder = tmp_path_factory.mktemp("up")
    manifests = folder / "manifests"
    shutil.copytree(QUICKSTART, manifests)
    for path in manifests.glob("*.yaml"):  # no window ends while the story is told
        path.write_text(re.sub(r"window: \{.*\}", "window: {every: lifetime}", path.read_text()))
    with running_up(folder, manifests, ["--dev-key", "retail/assistant"]) as running:
        made = Gateway(running)
        for number in range(4):
            assert made.ask(f"Hello {number}") == 200
        made.ask("Hello [[cut 3]]", stream=True)
        made.ask("Hello [[cut 2]]", stream=True)
        assert made.ask("Hello [[reset]]") == 502
        made.recorded(7)
        yield made


def age_s(gateway: Gateway) -> float:
    """How old the bill's last line is."""
    return time.time() - gateway.bill.stat().st_mtime


def period(gateway: Gateway) -> str:
    """From the first line of the bill's day up to now; `reconcile` ends it at now."""
    first = str(next(bills.read(gateway.bill))["time"])[:10]
    return f"{first}/2099-01-01"


def test_what_is_charged_in_full_is_found_and_nothing_is_booked_unasked(gateway: Gateway) -> None:
    before = gateway.charged_nano()
    found = gateway.reconcile(gateway.bill, code=1)
    assert found["counts"] == {"resolved": 2, "undecided": 2}
    assert found["booked"] is None
    assert gateway.charged_nano() == before
    code, shown, _ = gateway.signalbox("reconcile", str(gateway.bill))
    assert code == 1
    assert "2 corrections of -$0.00" in shown
    assert "add --book" in shown


def test_sums_of_a_bill_cannot_be_booked(gateway: Gateway, sample: Callable[[str], Path]) -> None:
    code, _, told = gateway.signalbox("reconcile", str(sample("openai_costs.csv")), "--book")
    assert code == 2
    assert "an export with request ids" in told


def test_an_export_of_another_currency_books_nothing(gateway: Gateway, tmp_path: Path) -> None:
    request_id = next(bills.read(gateway.bill))["request_id"]
    path = tmp_path / "euro.csv"
    path.write_text(f"provider_request_id,amount,currency\n{request_id},0.01,EUR\n")
    code, _, told = gateway.signalbox("reconcile", str(path), "--book")
    assert code == 2
    assert "euro.csv:2: currency: 'EUR' is another currency" in told
    assert "Traceback" not in told


def test_a_period_needs_a_name(gateway: Gateway) -> None:
    code, _, told = gateway.signalbox("reconcile", str(gateway.bill), "--period", "2026-09-22")
    assert (code, "--provider or --lane" in told) == (2, True)


def test_the_booked_bill_is_what_ledger_and_budgets_say(gateway: Gateway) -> None:
    eventually(lambda: age_s(gateway) > 1.5)  # the lag has to pass on the wall clock
    found = gateway.reconcile(gateway.bill, "--period", period(gateway), *PERIOD, "--book", code=0)
    assert found["counts"] == {"resolved": 2, "unbilled": 2}
    assert found["booked"]["corrections"] == 4
    billed = bills.total_pico_usd(gateway.bill)
    lines = sum(1 for _ in bills.read(gateway.bill)) * 2
    charged = gateway.charged_nano()
    assert 0 <= charged * 1000 - billed < lines * 1000
    eventually(lambda: gateway.settled_nano("signalbox-system/company-day") == charged)
    eventually(lambda: gateway.settled_nano("retail/retail-hour") == charged)


def test_the_same_bill_again_books_nothing(gateway: Gateway) -> None:
    before = gateway.charged_nano()
    found = gateway.reconcile(gateway.bill, "--period", period(gateway), *PERIOD, "--book", code=0)
    assert (found["equal"], found["counts"], found["booked"]) == (True, {}, None)
    assert gateway.charged_nano() == before
    code, shown, _ = gateway.signalbox("reconcile", str(gateway.bill))
    assert (code, "equal: 6 requests charged as billed" in shown) == (0, True)


def test_a_request_that_nobody_made_here_is_shown_loudly(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    outside = {"request_id": "req_outside", "amount_usd": "0.0123", "model": "gpt-5.4"}
    path.write_text(gateway.bill.read_text() + json.dumps(outside) + "\n")
    code, shown, _ = gateway.signalbox("reconcile", str(path), "--book")
    assert code == 1
    assert "unmatched" in shown
    assert "req_outside" in shown
    assert "1 request of $0.012300000 did not come through the gateway" in shown
    assert gateway.charged_nano() * 1000 < bills.total_pico_usd(gateway.bill) + 12_000


def test_a_bill_that_charges_more_is_booked_into_the_budgets(
    gateway: Gateway, tmp_path: Path
) -> None:
    before = gateway.charged_nano()
    dear = [dict(line) for line in bills.read(gateway.bill)][:1]
    more = 5_000_000_000
    dear[0]["amount_pico_usd"] = int(str(dear[0]["amount_pico_usd"])) + more
    path = tmp_path / "dear.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in dear))
    found = gateway.reconcile(path, "--book", code=0)
    assert found["counts"] == {"different": 1}
    assert found["booked"]["taken"]["usd"] == "0.015"
    assert gateway.charged_nano() == before + more // 1000
    eventually(lambda: overrun(gateway, "signalbox-system/company-day") == "0.005")


def overrun(gateway: Gateway, budget: str) -> str:
    told = gateway.running.signalbox("get", "budget", budget, "-o", "json")
    return str(json.loads(told)["status"].get("overrun"))


def test_the_desk_tells_how_the_ledger_stands(gateway: Gateway) -> None:
    code, shown, _ = gateway.signalbox("ledger", "status")
    assert code == 0
    assert "SQLite" in shown
    assert "5 corrections by providers' bills" in shown
    code, shown, _ = gateway.signalbox("proxies")
    assert code == 0
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["proxy-0", "live"],
        ["proxy-1", "live"],
    ]
    code, _, told = gateway.signalbox("proxies", "lost", "proxy-0", "--yes")
    assert (code, "is live" in told) == (1, True)
    code, _, told = gateway.signalbox("proxies", "lost", "proxy-9", "--yes")
    assert (code, "not found" in told) == (1, True)
    assert gateway.signalbox("ledger", "readmit")[:2] == (0, "draws flow already\n")
    assert gateway.signalbox("ledger", "refused")[0] == 0
    assert gateway.signalbox("ledger", "rebuild-sums", "--yes")[0] == 0

"""`signalbox up` as people and scripts meet it: start, look, ask, and what is shown of it."""

import csv
import io
import json
import re
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from support.running import QUICKSTART, ROOT, Running, free_ports


def eventually(found: Callable[[], object], limit_s: float = 90) -> object:
    """What `found` gives as soon as it gives something true."""
    deadline = time.monotonic() + limit_s
    while not (value := found()):
        assert time.monotonic() < deadline, "not within the limit"
        time.sleep(0.1)
    return value


def paste(running: Running, *extra: str) -> dict:
    """Runs the printed curl in a shell, as it stands."""
    command = next(line for line in running.printed if line.startswith("curl "))
    ran = subprocess.run(
        ["bash", "-c", " ".join([command, "--silent", "--show-error", *extra])],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(ran.stdout)


def newest_run(running: Running) -> dict:
    """The newest recorded run, as soon as there is one."""

    def find() -> list[dict]:
        return json.loads(running.signalbox("runs", "-o", "json", "--limit", "1") or "{}")["items"]

    (run,) = eventually(find)  # type: ignore[misc]
    return run


def test_the_printed_lines_can_be_copied_into_a_shell(running: Running) -> None:
    base = f"http://127.0.0.1:{running.port}"
    key = running.variables["OPENAI_API_KEY"]
    assert running.variables["OPENAI_BASE_URL"] == f"{base}/v1"
    assert running.variables["ANTHROPIC_BASE_URL"] == base
    assert running.variables["ANTHROPIC_API_KEY"] == key
    assert re.fullmatch(r"sbx\.retail\.assistant\.[\w-]{32}", key)
    alone = [line for line in running.printed if re.fullmatch(r"[A-Z_]+=\S+", line)]
    assert len(alone) == 4


def test_the_printed_curl_works_when_pasted(running: Running) -> None:
    answer = paste(running)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"]


def test_the_start_screen_names_every_agent_and_its_budgets(running: Running) -> None:
    screen = "\n".join(running.printed)
    for agent in ("retail/assistant", "retail/catalog", "wealth/advisor"):
        assert agent in screen
    assert "$0.03 / 2 minutes" in screen
    assert "60 requests / minute" in screen


def test_secrets_of_the_state_are_readable_by_their_owner_only(running: Running) -> None:
    assert stat.S_IMODE(running.state.stat().st_mode) == 0o700
    secret = ["signing.key", "control.token", "dev-keys/retail.assistant", "credentials/openai"]
    for name in secret:
        assert stat.S_IMODE((running.state / name).stat().st_mode) == 0o600, name


def test_no_log_and_no_object_holds_the_key(running: Running) -> None:
    secret = running.variables["OPENAI_API_KEY"]
    paste(running)
    for path in [*running.state.glob("logs/*.log"), *running.state.glob("*.json")]:
        assert secret not in path.read_text(), path
    assert secret not in running.signalbox("get", "all", "-o", "json")


def test_a_run_appears_in_the_list_and_can_be_shown_whole(running: Running) -> None:
    paste(running)
    run = newest_run(running)
    whole = running.signalbox("runs", run["run_id"])
    for section in ("Decision", "Attempts", "Charges", "Verdicts", "Compliance"):
        assert f"\n{section}\n" in whole
    assert "gpt-5.4-mini/us" in whole
    assert "gpt-5.4-mini/eu" in whole
    assert re.search(r"hold 1 +retail/assistant: spent \$0\.00\d+ of \$0\.00\d+", whole)
    listed = running.signalbox("runs")
    assert listed.splitlines()[0].split() == [
        "RUN", "AGE", "AGENT", "MODEL/LANE", "COST", "OUTCOME",
    ]  # fmt: skip
    assert run["run_id"] in listed
    assert json.loads(running.signalbox("runs", run["run_id"], "-o", "json"))["cost_usd"]


def test_runs_can_be_narrowed_and_an_unknown_one_is_an_error(running: Running) -> None:
    paste(running)
    newest_run(running)
    assert running.signalbox("runs", "--agent", "retail/catalog") == ""
    only = json.loads(
        running.signalbox("runs", "--agent", "retail/assistant", "--outcome", "answered",
                          "--domain", "retail/retail", "--since", "1h", "-o", "json")
    )  # fmt: skip
    assert only["items"]
    running.signalbox("runs", "r_nobody", code=1)
    running.signalbox("runs", "--since", "yesterday", code=2)


def test_spend_is_reported_by_any_grouping(running: Running) -> None:
    paste(running)
    newest_run(running)
    report = json.loads(running.signalbox("report", "spend", "--by", "domain,lane", "-o", "json"))
    (line,) = (each for each in report["items"] if each["lane"] == "us")
    assert line["domain"] == "retail/retail"
    assert float(report["total"]["cost_usd"]) > 0
    rows = list(csv.DictReader(io.StringIO(running.signalbox("report", "spend", "-o", "csv"))))
    assert sum(int(row["runs"]) for row in rows) >= 1
    assert "COST" in running.signalbox("report", "spend", "--by", "agent,model,day")
    running.signalbox("report", "spend", "--by", "colour", code=2)


def test_objects_come_with_status_as_a_cluster_gives_them(running: Running) -> None:
    listed = json.loads(running.signalbox("get", "budgets", "-o", "json"))
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    budget = next(each for each in listed["items"] if each["metadata"]["name"] == "assistant")
    assert budget["apiVersion"] == "signalbox.dev/v1alpha1"
    assert {"uid", "generation", "resourceVersion", "creationTimestamp"} <= budget[
        "metadata"
    ].keys()
    conditions = {each["type"]: each["status"] for each in budget["status"]["conditions"]}
    assert conditions["Accepted"] == conditions["Programmed"] == "True"
    assert budget["status"]["limit"] == "0.03"
    assert float(budget["status"]["remaining"]) <= 0.03


def test_every_object_of_the_quickstart_is_accepted_and_programmed(running: Running) -> None:
    for item in json.loads(running.signalbox("get", "all", "-o", "json"))["items"]:
        states = {each["type"]: each["status"] for each in item["status"]["conditions"]}
        assert states["Accepted"] == states["Programmed"] == "True", item["metadata"]["name"]


def test_get_knows_namespaces_names_and_forms(running: Running) -> None:
    one = json.loads(running.signalbox("get", "budget", "assistant", "-n", "retail", "-o", "json"))
    assert one["metadata"]["name"] == "assistant"
    as_yaml = yaml.safe_load(running.signalbox("get", "bud/assistant", "-o", "yaml"))
    as_json = json.loads(running.signalbox("get", "budget", "retail/assistant", "-o", "json"))
    assert as_yaml["spec"] == as_json["spec"]  # the status may move between the two calls
    assert as_yaml["status"].keys() == as_json["status"].keys()
    assert running.signalbox("get", "dom", "-n", "wealth", "-o", "name") == (
        "domain.signalbox.dev/wealth\n"
    )
    assert "REASON" in running.signalbox("get", "agents", "-o", "wide").splitlines()[0]
    assert running.signalbox("get", "agents", "-n", "nowhere") == ""


def test_get_refuses_in_the_words_of_kubectl(running: Running) -> None:
    def error(*words: str) -> str:
        ran = subprocess.run(
            ["python", "-m", "signalbox_cli", "get", *words],
            env=running.environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 1
        assert not ran.stdout
        return ran.stderr

    assert error("budget", "nope") == (
        'Error from server (NotFound): budgets.signalbox.dev "nope" not found\n'
    )
    assert error("pods").startswith('error: the server doesn\'t have a resource type "pods"')


def test_watching_shows_changes_as_they_happen(running: Running) -> None:
    watching = subprocess.Popen(
        [
            "python",
            "-u",
            "-m",
            "signalbox_cli",
            "get",
            "budgets",
            "-n",
            "retail",
            "-w",
            "-o",
            "json",
        ],
        env=running.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "{\n"
        paste(running)
        seen = ""
        while '"settled": "0.00"' in seen or '"settled": "0.' not in seen:
            line = watching.stdout.readline()
            assert line
            seen = line if '"settled"' in line else seen
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


def test_explain_tells_every_candidate_and_what_budgets_have_left(running: Running) -> None:
    text = running.signalbox(
        "explain", "--agent", "retail/assistant", "--model", "gpt-5.4-mini", "--prompt", "Hi"
    )
    assert re.search(r"^won +gpt-5.4-mini/us +us-east US +\$0\.0\d+ +\$0\.0\d+", text, re.MULTILINE)
    assert re.search(r"^2\. +gpt-5.4-mini/eu", text, re.MULTILINE)
    budget = r"^retail/assistant +\$0\.\d+ +\$0\.\d+ +\$0\.0[23]\d* +fits"
    assert re.search(budget, text, re.MULTILINE)


def test_explain_shows_that_regulated_data_stays_on_the_companys_own_lane(
    running: Running,
) -> None:
    asked = ["explain", str(QUICKSTART), "--agent", "wealth/advisor", "--model", "auto"]
    told = json.loads(running.signalbox(*asked, "--prompt", "My bonds?", "-o", "json"))
    assert told["sensitivity"] == "regulated"
    assert told["candidates"][0]["lane"] == "signalbox-system/llama-3.3-70b-instruct/own"
    lost = {each["lane"]: each["lostAt"] for each in told["candidates"][1:]}
    assert lost["signalbox-system/gpt-5.4-mini/us"] == "residency"
    assert lost["signalbox-system/gpt-5.4-mini/eu"] == "sensitivity"
    assert told["refusal"] is None


def test_explain_ends_with_one_where_the_request_would_be_refused(
    running: Running, tmp_path: Path
) -> None:
    body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "x"}],
            "max_completion_tokens": 100_000}  # fmt: skip
    request = tmp_path / "request.json"
    request.write_text(json.dumps(body))
    asked = ["explain", "--agent", "retail/assistant", "--file", str(request), "-o", "json"]
    told = json.loads(running.signalbox(*asked, code=1))
    (short,) = (each for each in told["budgets"] if each["fits"] is False
                and each["enforcement"] == "Enforce")  # fmt: skip
    assert short["budget"] == "retail/assistant"
    catalog = ["explain", "--agent", "retail/catalog", "--model", "gpt-5.4", "--prompt", "x"]
    assert "403 model_not_permitted" in running.signalbox(*catalog, code=1)
    running.signalbox(
        "explain", "--agent", "retail/nobody", "--model", "x", "--prompt", "x", code=1
    )
    running.signalbox("explain", "--agent", "retail/catalog", code=2)


def test_what_is_explained_is_what_happens(running: Running) -> None:
    told = json.loads(
        running.signalbox("explain", "--agent", "retail/assistant", "--model", "gpt-5.4-mini",
                          "--prompt", "Say hello in one sentence.", "-o", "json")
    )  # fmt: skip
    paste(running)
    run = json.loads(running.signalbox("runs", newest_run(running)["run_id"], "-o", "json"))
    best = told["candidates"][0]
    assert f"{run['model']}/{run['lane']}" == best["lane"]
    assert run["attempts"][0]["bound_usd"] == best["boundUsd"]


def test_a_second_up_on_the_same_state_is_refused(running: Running) -> None:
    ran = subprocess.run(
        ["python", "-m", "signalbox_cli", "up", str(QUICKSTART), "--state", str(running.state)],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("signalbox: Signalbox already runs on ")
    assert ran.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named_with_its_flag(running: Running, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["python", "-m", "signalbox_cli", "up", str(QUICKSTART), "--state", str(tmp_path / "s")],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert f"port {running.port} on 127.0.0.1, wanted for traffic, is already in use" in ran.stderr
    assert "--port" in ran.stderr


def test_a_key_for_an_agent_that_is_not_there_ends_it_with_a_sentence(
    running: Running, tmp_path: Path
) -> None:
    ports = free_ports(3, run=2)
    words = ["--simulate", "--state", str(tmp_path / "s"), "--dev-key", "retail/nobody"]
    flags = ("--port", "--control-port", "--metrics-port")
    words += [str(word) for pair in zip(flags, ports, strict=True) for word in pair]
    ran = subprocess.run(
        ["python", "-m", "signalbox_cli", "up", str(QUICKSTART), *words],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert "signalbox: --dev-key retail/nobody: there is no such agent" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_commands_without_anything_running_say_so(tmp_path: Path, running: Running) -> None:
    for words in (("get", "budgets"), ("runs",), ("report", "spend")):
        ran = subprocess.run(
            ["python", "-m", "signalbox_cli", *words, "--state", str(tmp_path)],
            env=running.environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 1
        assert ran.stderr.startswith("signalbox: no ")
        assert "--state" in ran.stderr


@pytest.mark.parametrize("path", ["README.md", "docs/cli.md", "docs/quickstart.md"])
def test_the_pages_that_a_reader_begins_with_are_there(path: str) -> None:
    assert (ROOT / path).exists()

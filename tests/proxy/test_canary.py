"""Secrets and prompts stay where they belong: not in a log, a repr, an error, a file of ours."""

import logging
import sys
from pathlib import Path
from typing import Any

import openai

from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.logs import JsonFormatter
from signalbox_proxy.trust import Trust
from signalbox_proxy.upstream import UpstreamCall
from support.fleet import Fleet
from support.snapshots import CREDENTIALS, OPENAI, SECRET, key_of, snapshot

CANARY = "sk-canary-0123456789abcdef"
PROMPT = "The canary sings of prompts that nobody may keep."
HELLO: Any = [{"role": "user", "content": PROMPT}]


def test_a_log_line_tells_where_an_error_was_raised_and_not_what_it_says() -> None:
    try:
        int(CANARY)
    except ValueError:
        record = logging.LogRecord(
            "signalbox", logging.ERROR, __file__, 1, "failed", (), sys.exc_info()
        )
    line = JsonFormatter().format(record)
    assert "ValueError" in line
    assert __file__ in line
    assert CANARY not in line


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    (tmp_path / "openai").write_text(CANARY)
    store = CredentialStore(tmp_path)
    assert store.refresh(["openai"]) == []
    assert store.get("openai") == CANARY
    headers = {"authorization": f"Bearer {CANARY}", "x-signalbox-session": CANARY}
    nothing: Any = None
    shown = (
        store,
        UpstreamCall("https://a.example", headers, CANARY.encode(), 1.0),
        Exchange(nothing, nothing, nothing, headers, headers),
        Trust("fleet", {}, (CANARY,)),
    )
    for each in shown:
        assert CANARY not in repr(each), type(each)


def test_no_key_and_no_credential_is_written_anywhere(tmp_path: Path) -> None:
    """Requests that end in every way, then a look at all that was written and said."""
    told: list[str] = []

    def ask(key: str, **changes: Any) -> None:
        with openai.OpenAI(base_url=fleet.openai_url, api_key=key, max_retries=0) as client:
            try:
                raw = client.chat.completions.with_raw_response.create(
                    **{"model": "mini", "messages": HELLO} | changes
                )
                told.extend([str(dict(raw.headers)), raw.text if not changes else ""])
            except openai.APIStatusError as refused:
                told.extend([str(dict(refused.response.headers)), refused.response.text])

    good = key_of("retail/support")
    with Fleet(tmp_path) as fleet:
        fleet.push(snapshot())
        ask(good)
        ask(good, stream=True)
        ask(good, model="nothing")
        ask(good, extra_body={"surprise": PROMPT})
        for nobody in (CANARY, f"sbx.retail.support.{CANARY}", f"sbx.{CANARY}.x.y"):
            ask(nobody)
        for status in (500, 401, 400):
            fleet.simulator.behave({"host": OPENAI, "status": status})
            ask(good)
        _, answer = fleet.control(fleet.proxies[0], "GET", "status", token=CANARY)
        told.append(str(answer))
        token = fleet.token
    secrets = [CANARY, SECRET, token, *CREDENTIALS.values()]
    for text in told:
        assert not [secret for secret in secrets if secret in text], text
    ours = {"credentials", "control.token", "simulator"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [path for path in files if path.relative_to(tmp_path).parts[0] not in ours]
    assert {"proxy-0.log", "ledger.db", "snapshot.json"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        found = [secret for secret in (*secrets, PROMPT) if secret.encode() in content]
        assert not found, path

"""What `helm test` runs: no call without a key; with KEY and MODEL an agent is answered."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

URL, KEY, MODEL = (os.environ.get(name, "") for name in ("URL", "KEY", "MODEL"))
PATIENCE_S = float(os.environ.get("PATIENCE_SECONDS", "120"))


def ask(key: str) -> tuple[int, dict]:
    """Status and document of one call; raises OSError where nobody answers."""
    body = {"model": MODEL or "auto", "messages": [{"role": "user", "content": "Say hello."}]}
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{URL}/v1/chat/completions", json.dumps(body | {"max_tokens": 256}).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(65536)
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, {}


def reached(key: str) -> tuple[int, dict]:
    """The same, asked again while the proxies are still starting (no answer, or 503)."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            status, document = ask(key)
            if status != 503 or time.monotonic() > until:
                return status, document
        except OSError as error:
            if time.monotonic() > until:
                sys.exit(f"{URL} does not answer: {error}. Is a proxy ready? kubectl get pods")
        time.sleep(1)


status, document = reached("")
if status != 401 or document.get("error", {}).get("code") != "unauthorized":
    sys.exit(f"without a key {URL} should answer 401 unauthorized, not {status}: {document}")
print(f"{URL} refuses a call without a key (401 unauthorized)")
if KEY:
    status, document = reached(KEY)
    if status != 200:
        sys.exit(f"a call of {MODEL} with the key got {status}: {document}")
    print(f"{MODEL} answered: {document['choices'][0]['message']['content'][:80]!r}")

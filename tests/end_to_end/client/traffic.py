"""An application with OpenAI's SDK: calls Signalbox, prints one line of JSON about what happened.

    BASE_URL=… KEY=… MODEL=… traffic.py [--calls 1]
    BASE_URL=… KEY=… MODEL=… traffic.py --streams 24 --seconds 60 [--tokens 256] [--pace 0]

`--calls` one after another, whole; or `--streams` at a time for `--seconds`, each opened anew when
it has ended. The SDK's own retries are off: a failure is a failure. `--pace` asks the simulated
provider for that many milliseconds between two pieces, and for `--tokens` of them.
"""

import argparse
import asyncio
import json
import os
import time
from typing import Any

from openai import APIError, AsyncOpenAI

CLIENT = AsyncOpenAI(
    base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0, timeout=120
)
MODEL = os.environ["MODEL"]


async def whole(tokens: int) -> str:
    """One answer."""
    answer = await CLIENT.chat.completions.create(
        model=MODEL, max_completion_tokens=tokens, messages=[_message("Say hello.")]
    )
    return answer.choices[0].message.content or ""


async def streamed(tokens: int, pace: int) -> int:
    """One stream to its end; how many pieces of text it had."""
    pieces, ended = 0, False
    stream = await CLIENT.chat.completions.create(
        model=MODEL,
        max_completion_tokens=max(256, tokens),
        messages=[_message(f"[[chunk {pace}]] [[tokens {tokens}]] Tell a story.")],
        stream=True,
    )
    async for chunk in stream:
        for choice in chunk.choices:
            pieces += bool(choice.delta.content)
            ended = ended or choice.finish_reason is not None
    if not ended:
        raise ConnectionError("the stream ended without saying why")
    return pieces


def _message(text: str) -> Any:
    return {"role": "user", "content": text}


async def _line(until: float, tokens: int, pace: int, failures: list[str]) -> int:
    done = 0
    while time.monotonic() < until:
        try:
            await streamed(tokens, pace)
            done += 1
        except (APIError, OSError) as failed:
            failures.append(f"{type(failed).__name__}: {failed}"[:300])
    return done


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name, value in (("calls", 1), ("streams", 0), ("seconds", 0), ("tokens", 256), ("pace", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    failures: list[str] = []
    if given.streams:
        print("started", flush=True)
        until = time.monotonic() + given.seconds
        lines = (_line(until, given.tokens, given.pace, failures) for _ in range(given.streams))
        done = sum(await asyncio.gather(*lines))
    else:
        texts = [await whole(given.tokens) for _ in range(given.calls)]
        done = sum(bool(text) for text in texts)
    print(json.dumps({"done": done, "failed": len(failures), "failures": failures[:5]}))


asyncio.run(main())

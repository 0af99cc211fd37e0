"""What translation costs: CPU of one request, one whole answer and one chunk, for each pair.

In one process, without a network: the provider's bytes come from the simulator first. Traffic of
one format is measured beside it (`native`): reading it as the surface does, for charge and
evaluation alone. Last lines are `name=value`, microseconds of CPU:

    translate_request_us   read, written and encoded, the dearest pair
    translate_answer_us    a whole answer read and written, the dearest pair
    translate_chunk_us     one chunk of a stream read and written, the dearest pair
    native_request_us, native_answer_us, native_chunk_us   the same without translation
    added_request_us, added_answer_us, added_chunk_us      what the dearest translation adds to what
                           the same client's request costs on a lane of its own format
"""

import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from signalbox_proxy.model_request import ModelRequest  # noqa: E402
from signalbox_proxy.surfaces import CHAT, MESSAGES, Carrier, Surface  # noqa: E402
from signalbox_proxy.translation.translations import Translations  # noqa: E402
from signalbox_proxy.wire_formats import is_native  # noqa: E402
from signalbox_simulator.process import SimulatorProcess  # noqa: E402
from signalbox_snapshot.snapshot import Lane  # noqa: E402
from support.crossroads import HOSTS, LANES  # noqa: E402
from support.snapshots import lane  # noqa: E402
from support.speakers import PIXEL, WEATHER  # noqa: E402

ROUNDS, SECONDS = 5, 0.04
KEY = "bench-key-0123456789"
TEXT = "The figures of the quarter are attached; say what changed and why it matters. " * 12
TURNS = 6


def chat_body(*, stream: bool) -> dict[str, Any]:
    """A conversation of some turns with tools and an image, as an agent sends it."""
    turns: list[Any] = [{"role": "system", "content": "Be brief."}]
    for number in range(TURNS):
        turns.append({"role": "user", "content": f"{number}: {TEXT}"})
        turns.append({"role": "assistant", "content": TEXT})
    url = {"url": f"data:image/png;base64,{PIXEL}"}
    said: list[Any] = [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": url}]
    turns.append({"role": "user", "content": said})
    tools = [
        {"type": "function", "function": {"name": f"tool_{n}", "parameters": WEATHER}}
        for n in range(5)
    ]
    body = {"model": "m", "messages": turns, "tools": tools, "max_tokens": 400}
    return body | ({"stream": True} if stream else {})


def message_body(*, stream: bool) -> dict[str, Any]:
    """The same in Anthropic's words."""
    turns: list[Any] = []
    for number in range(TURNS):
        turns.append({"role": "user", "content": f"{number}: {TEXT}"})
        turns.append({"role": "assistant", "content": TEXT})
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    said = [{"type": "text", "text": TEXT}, {"type": "image", "source": source}]
    turns.append({"role": "user", "content": said})
    tools = [{"name": f"tool_{n}", "input_schema": WEATHER} for n in range(5)]
    body = {"model": "m", "messages": turns, "tools": tools, "max_tokens": 400}
    return body | {"system": "Be brief."} | ({"stream": True} if stream else {})


def lane_of(wire: Any, url: str) -> Lane:
    """The simulator's lane of a format."""
    told = LANES[wire]
    return lane(
        wire,
        wire_format=wire,
        upstream_model=told["upstreamModel"],
        endpoint=told["endpoint"].replace("https:/", url, 1),
        output_limit_field=told.get("outputLimitField", "max_tokens"),
    )


def cpu_us(work: Callable[[], object]) -> float:
    """CPU of one call, in microseconds: median of rounds."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        calls, began = 0, time.process_time()
        while time.process_time() - began < SECONDS:
            work()
            calls += 1
        rounds.append((time.process_time() - began) * 1e6 / calls)
    return statistics.median(rounds)


def carrier_of(surface: Surface, request: ModelRequest, there: Lane) -> Carrier:
    """A carrier made anew, as for a new request."""
    if is_native(request, there):
        return surface
    return Translations(request).carrier(there, "r_1")


def fetched(carrier: Carrier, request: ModelRequest, there: Lane) -> bytes:
    """What the simulator answers."""
    asked = urllib.request.Request(
        there.endpoint + carrier.upstream_path(there),
        data=carrier.upstream_body(request, there, None),
        headers=carrier.upstream_headers({}, there, KEY),
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        whole: bytes = answer.read()
        return whole


def measured(surface: Surface, body: Callable[..., dict[str, Any]], there: Lane) -> list[float]:
    """Microseconds of a request, of a whole answer, and of one chunk."""
    request, streamed = (surface.parse(body(stream=each), {}) for each in (False, True))
    carrier, streaming = (carrier_of(surface, each, there) for each in (request, streamed))
    answer = fetched(carrier, request, there)
    stream = fetched(streaming, streamed, there)
    size = 200
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]

    def ask() -> None:
        carrier_of(surface, request, there).upstream_body(request, there, 400)

    def read_stream() -> None:
        reader = streaming.stream_reader(streamed)
        for chunk in chunks:
            reader.feed(chunk)
        reader.end()

    asking = cpu_us(ask)
    reading = cpu_us(lambda: carrier.read_answer(request, answer))
    return [asking, reading, cpu_us(read_stream) / len(chunks)]


def main() -> None:
    """Measure and print."""
    native, translated, added = [0.0] * 3, [0.0] * 3, [0.0] * 3
    bodies = ((CHAT, chat_body), (MESSAGES, message_body))
    print(f"{'client':10} {'lane':10} {'request':>10} {'answer':>10} {'chunk':>10}   us of CPU")
    with SimulatorProcess(credentials={"bench": KEY}) as simulator:
        for surface, body in bodies:
            own = [0.0] * 3
            dearest_here = [0.0] * 3
            for wire in HOSTS:
                if wire not in LANES:
                    continue
                there = lane_of(wire, simulator.url)
                found = measured(surface, body, there)
                is_own = is_native(surface.parse(body(stream=False), {}), there)
                for dearest in (native, own) if is_own else (translated, dearest_here):
                    dearest[:] = [max(pair) for pair in zip(dearest, found, strict=True)]
                cells = "".join(f" {value:10.1f}" for value in found)
                print(f"{surface.name:10} {wire:10}{cells}" + ("   native" if is_own else ""))
            more = [there - here for there, here in zip(dearest_here, own, strict=True)]
            added[:] = [max(pair) for pair in zip(added, more, strict=True)]
    for kind, values in (("native", native), ("translate", translated), ("added", added)):
        for name, value in zip(("request", "answer", "chunk"), values, strict=True):
            print(f"{kind}_{name}_us={value:.1f}")


if __name__ == "__main__":
    main()

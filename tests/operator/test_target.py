"""What is released when the content that was asked for is gone: never nothing, and never a stop."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.going_back import request_text
from signalbox_operator.head import Head, HeadError, Pin
from signalbox_operator.history import Record, next_release
from signalbox_operator.target import Targets
from signalbox_snapshot import codec
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.envelope import seal
from support.whole_snapshot import whole_snapshot

KEY = Ed25519PrivateKey.generate()
UNTIL = int(time.time()) + 3600
REQUEST = request_text(1, datetime.fromtimestamp(UNTIL, UTC), "ada")


def limited(limit: int) -> wire.Snapshot:
    whole = whole_snapshot()
    budget = msgspec.structs.replace(whole.budgets[0], limit=limit)
    return msgspec.structs.replace(whole, budgets=[budget])


def released(limit: int, current: Head | None = None, pin: Pin | None = None) -> Head:
    generation = current.generation + 1 if current else 1
    payload = codec.encode(limited(limit))
    sealed = seal(KEY, fleet="f", generation=generation, payload=payload)
    return next_release(current, sealed, Record(at=generation, pin=pin), "id-1").head


async def gone(names: Sequence[str]) -> bytes:
    raise HeadError(f"ConfigMap f-chunk-{names[0]} is gone; restore it, or the head")


async def chosen(head: Head, request: str) -> tuple[int, Pin | None, str]:
    written = limited(9)
    version = codec.version(codec.encode(written))
    target = await Targets(gone).choose(written, version, head, request)
    return target.snapshot.budgets[0].limit, target.pin, target.problem


async def test_going_back_to_a_release_whose_content_is_gone_leaves_what_is_written() -> None:
    limit, pin, problem = await chosen(released(9, released(1)), REQUEST)
    assert (limit, pin) == (9, None)
    assert "is gone" in problem


async def test_a_pin_that_holds_outlives_the_content_that_it_was_made_of() -> None:
    """The head has what the pin released, so nothing is let go before its end."""
    held = Pin(generation=1, until=UNTIL, by="ada", request=REQUEST)
    head = released(1, released(9, released(1)), held)
    assert await chosen(head, REQUEST) == (1, held, "")
    assert await chosen(head, "") == (1, held, "")


@pytest.mark.parametrize(
    "asked",
    ["no request", REQUEST.replace(":1,", ":2,")],
    ids=["no JSON", "of a release that is not kept"],
)
async def test_a_request_that_fails_leaves_the_pin_before(asked: str) -> None:
    held = Pin(generation=1, until=UNTIL, by="ada", request=REQUEST)
    limit, pin, problem = await chosen(released(1, released(8, released(1)), held), asked)
    assert (limit, pin) == (1, held)
    assert problem


async def test_a_pin_whose_release_is_kept_no_more_stops_nothing() -> None:
    held = Pin(generation=77, until=UNTIL, request="")
    limit, pin, problem = await chosen(released(1, released(9), held), "")
    assert (limit, pin) == (9, None)
    assert "77 is not kept" in problem

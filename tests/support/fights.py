"""Fights for a budget, and their judgement: what proofs of the fleet have in common."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from support.arena import Arena, Told, bill_pico, named, storm
from support.figures import tell
from support.lookout import Lookout
from support.oracle import PICO_PER_NANO
from support.snapshots import key_of

CLIENTS = 64


@dataclass
class Fight:
    """One agent's money was fought for; the ledger may not be at rest yet."""

    name: str
    limit: int
    told: Told
    bill_pico: int
    false_refusals: int


def fight(arena: Arena, name: str, *, requests: int, burst: int) -> Fight:
    """64 clients ask for more than the budget of agent `name` has."""
    arena.newly_billed()
    load = storm(
        arena.urls(),
        key_of(named(name)),
        requests=requests,
        clients=CLIENTS,
        burst=burst,
        patient=True,
    )
    with Lookout(arena.fleet) as lookout:
        told = asyncio.run(load)
    false = sum(lookout.was_well(*between) for between in told.unavailable)
    assert told.asked == requests
    assert set(told.statuses) <= {200, 402, 503}, told
    assert +told.codes <= Counter(("budget_exhausted", "budget_held") * requests), told
    lines = arena.newly_billed()
    assert len(lines) == told.statuses[200]
    return Fight(name, arena.limits[name], told, bill_pico(lines), false)


def judge(
    arena: Arena, proof: str, fights: Sequence[Fight], *, spent_percent: int, **more: float
) -> None:
    """All fights, once everything has come to rest: a leaked hold or a lost run fails it.

    False is a refusal for lack of money that the authority could have covered, by its own word
    after recall; and one because it did not answer, unless somebody who watched all the while saw
    a machine that had no core left for it, or for a proxy. `unavailable` is how often that was;
    those were asked again.
    """
    false_refusals, under_bill = sum(each.false_refusals for each in fights), 0
    for each in fights:
        books = arena.books(each.name, runs=each.told.asked + len(each.told.unavailable))
        books.assert_equal()
        assert books.bill_pico == each.bill_pico, "the ledger names other lines of the bill"
        under_bill = max(under_bill, each.bill_pico - books.ledger_nano * PICO_PER_NANO)
        shortages = arena.shortages(each.name)
        assert len(shortages) == each.told.codes["budget_exhausted"]
        false_refusals += sum(one["needed"] <= one["remaining"] for one in shortages)
    leaked = arena.leaked()
    asked = sum(each.told.asked for each in fights)
    unavailable = sum(len(each.told.unavailable) for each in fights)
    overspend = max(each.bill_pico - each.limit * PICO_PER_NANO for each in fights)
    share = min(each.bill_pico / (each.limit * PICO_PER_NANO) for each in fights)
    tell(
        proof,
        overspend_nano=max(0, overspend // PICO_PER_NANO),
        ledger_under_bill_nano=max(0, under_bill // PICO_PER_NANO),
        leaked_holds=len(leaked),
        false_refusals=false_refusals,
        spent_share_of_limit=round(share, 4),
        requests=asked,
        unavailable=unavailable,
        **more,
    )
    assert overspend <= 0, "the provider billed more than the limit"
    assert not leaked
    assert false_refusals == 0, [each.told for each in fights]
    assert share * 100 >= spent_percent

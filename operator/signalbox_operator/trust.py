"""How keys, tokens and authorities are changed without a moment in which anybody is not believed.

Pure: what the Secrets hold and what proxies say goes in, the next step comes out. A ring is one or
two things of a kind, the first in use. Changing it takes five steps, each one write to one Secret,
so that whoever stops between two of them is resumed by what stands there:

    add the new one -> publish both -> (every proxy accepts both) -> switch: the new one is used
    -> (every proxy goes by the new one) -> remove the old one -> publish what is left

Nothing here knows a secret: things go by their names, which are digests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

RINGS: Final = ("signer", "control", "tokens")
"""What signs snapshots; what signs the control ports' certificates; what opens those ports."""

_REQUEST: Final = "signalbox.dev/rotate-"

Step = Literal["make", "publish", "add", "switch", "remove"]


def request_annotation(ring: str) -> str:
    """The annotation of a Fleet that asks for a change of a ring, by any text that was not there
    before."""
    return f"{_REQUEST}{ring}"


@dataclass(frozen=True, slots=True)
class TrustTold:
    """What the Fleet's status tells of the rings: for whom a change waits, a sentence for each that
    is under way, and what people have to mend. Names only."""

    waiting: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ring:
    """What is in use, and what takes its place.

    `items` are the names of what the operator holds, the first in use; `published` those that
    proxies are told, in their order. Of two items, `incoming` is the one that takes over. `due`
    says that a change is wanted: somebody asked for it, or what is in use ends soon.
    """

    items: tuple[str, ...]
    published: tuple[str, ...]
    incoming: str = ""
    due: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one proxy says of a ring: what it accepts, in its order, and what it goes by.

    `uses` is "" where it goes by none. A proxy that does not answer accepts nothing.
    """

    proxy: str
    accepts: tuple[str, ...] = ()
    uses: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing is done before these proxies have followed; without names, before any is known."""

    proxies: tuple[str, ...] = ()


def next_step(ring: Ring, seen: Sequence[Seen] | None) -> Step | Waits | None:
    """What to do about a ring: a step, proxies to wait for, or None where all is as it should be.

    `seen` has every proxy that there is, answering or not; None where that is not known yet.
    """
    if not ring.items:
        return "make"
    if ring.published != ring.items:
        return "publish"
    if len(ring.items) == 1:
        return "add" if ring.due else None
    if seen is None:
        return Waits()
    incoming = ring.incoming if ring.incoming in ring.items else ring.items[0]
    if incoming != ring.items[0]:
        late = [each.proxy for each in seen if not set(ring.items) <= set(each.accepts)]
        return Waits(tuple(late)) if late else "switch"
    late = [each.proxy for each in seen if not _goes_by(each, ring.items)]
    return Waits(tuple(late)) if late else "remove"


def _goes_by(seen: Seen, items: tuple[str, ...]) -> bool:
    return seen.accepts == items and seen.uses in ("", items[0])

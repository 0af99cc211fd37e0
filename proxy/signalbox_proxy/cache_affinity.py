"""Which lanes hold the cache of a session: an input of the route decision.

A provider keeps the beginning of a prompt for some minutes, on the lane that answered. The next
request of the session is cheaper there, if it is one that may go there at all. In this process's
memory alone, bounded, and of no consequence when it is forgotten: what is held, and what may be
called, is decided without it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.classification import Facts
from signalbox_proxy.runtime import PreparedLane
from signalbox_snapshot.snapshot import PriceTable, WireFormat

MAX_SESSIONS: Final = 20_000
MAX_LANES: Final = 4
"""Lanes of one session that are remembered, the last that answered."""

LIFETIME_S: Final = 300
LONG_LIFETIME_S: Final = 3600
"""How long providers keep a prompt after its last use, and where an hour was paid for."""

LEAST_TOKENS: Final = 1024
"""Input of fewer tokens is kept by none of the providers that cache by themselves."""

_BY_THEMSELVES: Final[frozenset[WireFormat]] = frozenset({"openai", "gemini"})

Warmth = Mapping["CacheHome", int]
"""Input tokens that are probably kept, by where."""

NOWHERE: Final[Warmth] = {}


class CacheHome(msgspec.Struct, frozen=True):
    """What a provider's cache hangs on. A lane that a newer snapshot points elsewhere holds none
    of what the one before held."""

    lane: str
    endpoint: str
    upstream_model: str
    credential: str

    @classmethod
    def of(cls, prepared: PreparedLane) -> "CacheHome":
        """That of a lane."""
        lane = prepared.lane
        return cls(prepared.id, lane.endpoint, lane.upstream_model, lane.auth_key)


class _Kept(msgspec.Struct, frozen=True):
    tokens: int
    until_s: int


class CacheAffinity:
    """The caches of the sessions that were served last."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], dict[CacheHome, _Kept]] = OrderedDict()

    def of(self, facts: Facts) -> Warmth:
        """What is probably kept for a request's session; nothing for one without a session."""
        if not facts.session:
            return NOWHERE
        kept = self._sessions.get((facts.agent.id, facts.session))
        if kept is None:
            return NOWHERE
        return {home: each.tokens for home, each in kept.items() if each.until_s > facts.now_s}

    def note(
        self, facts: Facts, lane: PreparedLane, price: PriceTable, usage: Usage, now_s: int
    ) -> None:
        """A lane answered a request of a session: what it keeps now, by its usage record. One that
        neither read nor wrote, such as a short question aside, says nothing of what was kept."""
        if not facts.session:
            return
        tokens = kept_tokens(lane.lane.wire_format, price, usage)
        if not tokens:
            return
        key = (facts.agent.id, facts.session)
        homes = self._sessions.setdefault(key, {})
        home = CacheHome.of(lane)
        homes.pop(home, None)
        lifetime = LONG_LIFETIME_S if usage.cache_write_1h else LIFETIME_S
        homes[home] = _Kept(tokens, now_s + lifetime)
        if len(homes) > MAX_LANES:
            del homes[next(iter(homes))]
        self._sessions.move_to_end(key)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)


def kept_tokens(wire: WireFormat, price: PriceTable, usage: Usage) -> int:
    """Input tokens that the next request need not pay in full: what was read and written, or all of
    the input where a provider keeps it unasked and sells it cheaper."""
    told = usage.cached_input + usage.cache_write_5m + usage.cache_write_1h
    if wire not in _BY_THEMSELVES or price.standard.cached_input >= price.standard.input:
        return told
    total = usage.input + told
    return total if total >= LEAST_TOKENS else told

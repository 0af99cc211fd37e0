"""Lanes whose provider billed above the bound: not called again until their bound is another.

A bound that did not hold once is no bound. A lane leaves quarantine with a snapshot that changes
what its bound is computed from (the Model's token limits and tokenizer, the lane's prices) or whose
bill it is (provider, upstream model, endpoint, service tier); an alias or a quality is no reason.
Kept per process, each proxy learns from its own runs, and a restart forgets. The control port, a
metric and the log tell people.
"""

from collections.abc import Iterable, Sequence

from signalbox_proxy.quotes import Quote
from signalbox_proxy.runtime import PreparedLane, PreparedModel

MAX_TOLD = 512
"""Lanes that the control port names."""


class Quarantine:
    """The lanes that are not called, each with what its bound was made of."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[str, tuple[object, ...]] = {}

    def __contains__(self, lane: PreparedLane) -> bool:
        return bool(self._lanes) and self._lanes.get(lane.id) == _bound_of(lane)

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: PreparedLane) -> None:
        """Call this lane no more."""
        self._lanes[lane.id] = _bound_of(lane)

    def clear_of(self, ranking: Sequence[Quote]) -> list[Quote]:
        """What is left of a ranking."""
        if not self._lanes:
            return list(ranking)
        return [quote for quote in ranking if quote.lane not in self]

    def among(self, models: Iterable[PreparedModel]) -> list[str]:
        """The lanes of these models that are not called."""
        if not self._lanes:
            return []
        found = sorted(lane.id for model in models for lane in model.lanes if lane in self)
        return found[:MAX_TOLD]


def _bound_of(lane: PreparedLane) -> tuple[object, ...]:
    """What decides about the most that a request on this lane may cost, and who bills it."""
    model, sent_to = lane.model, lane.lane
    return (
        *(model.tokenizer, model.limits, sent_to.price),
        *(sent_to.provider, sent_to.wire_format, sent_to.upstream_model, sent_to.endpoint),
        *(sent_to.service_tier, sent_to.output_limit_field),
    )

"""What is billed by units other than tokens of text: which price holds, and the lines of a bill.

Pure, integers of nano-USD, each line rounded up. A request tells its units (`model_request.Units`),
a lane their prices; where a lane has none for them, it bills by tokens or not at all.
"""

from typing import Final, Literal

import msgspec

from signalbox_ledger.meters import metered_cost
from signalbox_ledger.records import Charge, Meter
from signalbox_proxy.model_request import Units
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedLane
from signalbox_snapshot.snapshot import Lane, UnitPrice

_PPM: Final = 1_000_000

_UNASKED: Final = ("", "auto")
"""What leaves the choice of size or quality to the provider."""


class UnitLine(msgspec.Struct, frozen=True):
    """What one attempt is billed by units: at most `quantity` of them, or just as many.

    `price` is what the lane bills for each, `listed` the Model's own price.
    """

    meter: Meter
    quantity: int
    is_exact: bool
    price: int
    listed: int

    @property
    def worst_nano(self) -> int:
        """The most that it costs."""
        return metered_cost(self.meter, self.quantity, self.price)

    def charge(
        self, quantity: int, lane: Lane, attempt: int, kind: Literal["usage", "unknown"]
    ) -> Charge:
        """The line of a bill; see `pricing.charges` for how the differences are told apart."""
        cost = metered_cost(self.meter, quantity, self.price)
        if kind == "unknown":
            return self._line(quantity, attempt, cost, base=cost, kind=kind)
        base = metered_cost(self.meter, quantity, self.listed)
        batch_saving = 0
        if lane.multiplier_ppm != _PPM:
            discounted = -(-base * lane.multiplier_ppm // _PPM)
            batch_saving = base - (discounted if lane.premium_ppm else cost)
        return self._line(quantity, attempt, cost, base=base, batch_saving=batch_saving, kind=kind)

    def _line(
        self,
        quantity: int,
        attempt: int,
        cost: int,
        *,
        base: int,
        kind: Literal["usage", "unknown"],
        batch_saving: int = 0,
    ) -> Charge:
        return Charge(
            attempt=attempt,
            meter=self.meter,
            quantity=quantity,
            unit_price=self.price,
            cost=cost,
            base=base,
            batch_saving=batch_saving,
            premium=cost - base + batch_saving,
            kind=kind,
        )


def unit_line(units: Units, lane: PreparedLane) -> UnitLine | None:
    """How a lane bills a request's units; None where it bills them by tokens.

    Raises `Refusal`: `no_price` where it has no price for them, `no_bound` where their number has
    no bound on this model.
    """
    found = chosen_price(units, lane.lane)
    if found is None:
        return None
    if units.for_tokens:
        raise Refusal(
            "no_bound",
            f"{units.for_tokens!r} can be bounded only by models that bill tokens, and this one "
            f"bills {units.meter}. Leave it out, or ask for another model.",
            units.for_tokens,
        )
    price, listed = found
    quantity = units.most_on(lane.lane.provider)
    is_exact = units.is_exact
    if quantity is None:
        limit = lane.model.limits.audio_seconds
        if units.meter != "audio_seconds" or limit is msgspec.UNSET:
            raise Refusal(
                "no_bound",
                f"{units.field!r} leaves the cost of this request without a bound: {units.why}. "
                f"{units.advice}",
                units.field,
            )
        quantity, is_exact = limit, False
    return UnitLine(units.meter, quantity, is_exact, price.price, listed.price)


def chosen_price(units: Units, lane: Lane) -> tuple[UnitPrice, UnitPrice] | None:
    """The first price of a lane that fits, with the Model's own beside it; None for tokens.

    Raises `Refusal("no_price")` where there are prices by the unit, and none that fits, and where
    there are no prices of tokens either.
    """
    table = lane.price
    if table is None:
        raise ValueError(f"lane {lane.name} has no price")
    prices = table.of_units(units.meter)
    listed = (lane.list_price or table).of_units(units.meter)
    for price, own in zip(prices, listed, strict=True):
        if _fits(units.size, price.size) and _fits(units.quality, price.quality):
            return price, own
    if prices or not table.by_tokens:
        raise Refusal("no_price", f"no price {units.described}", units.field)
    return None


def _fits(asked: str, priced: str) -> bool:
    return asked in _UNASKED or not priced or asked == priced


def audio_line(lane: Lane, tokens: int) -> UnitLine | None:
    """How a lane bills tokens of audio input; None where they cost what others cost."""
    if lane.price is None or not tokens:
        return None
    prices = lane.price.of_units("audio_input")
    listed = (lane.list_price or lane.price).of_units("audio_input")
    if not prices:
        return None
    return UnitLine("audio_input", tokens, True, prices[0].price, listed[0].price)

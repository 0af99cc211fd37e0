"""What a surface understood of a request: the one form that all further steps read.

Made by `surfaces`, once, from the decoded body. The steps after it (classify, price, route,
reserve) know no wire format.
"""

from typing import Any, Literal

import msgspec

from signalbox_ledger.records import UnitMeter

UnitSurface = Literal["images", "rerank", "speech", "transcriptions"]
SurfaceName = Literal["chat", "messages", "embeddings", "responses", "count_tokens", UnitSurface]
CacheWrite = Literal["none", "implicit", "5m", "1h"]


class Units(msgspec.Struct, frozen=True):
    """What a request is billed by where its lane has prices by the unit.

    `quantity` is the most, None where it cannot be known before the call: then `why` says so of
    `field`, and `advice` what to do. With `is_exact` just as much is billed, whatever the answer
    tells. Images have a size and a quality, "" where the client left the choice. `limited` is the
    most on lanes of the one provider that is known to keep a limit which the client set.
    `for_tokens` is a field that only lanes which bill tokens can be sent, "" for none.
    """

    meter: UnitMeter
    quantity: int | None
    is_exact: bool
    field: str
    why: str = ""
    advice: str = ""
    size: str = ""
    quality: str = ""
    limited: tuple[str, int] | None = None
    for_tokens: str = ""

    def most_on(self, provider: str) -> int | None:
        """The most that is billed on lanes of that provider."""
        if self.limited is not None and self.limited[0] == provider:
            return self.limited[1]
        return self.quantity

    @property
    def described(self) -> str:
        """What a lane lacks that has no price for them."""
        if self.meter != "images":
            return f"by {self.meter}"
        return f"for images of {self.size or 'any'} size and {self.quality or 'any'} quality"


class Continued(msgspec.Struct, frozen=True):
    """The stored answer that a request continues.

    `run_id` is the run that it answered, `model` (an id) and `lane` (a name) are where it is
    stored. `tokens` are at most those that it adds to the input.
    """

    run_id: str
    model: str
    lane: str
    tokens: int


class ModelRequest(msgspec.Struct, frozen=True):
    """A request as asked for, with all that bounds its bill.

    `body` is the decoded JSON; what goes upstream is encoded from it, so that no provider reads
    it differently. `text_bytes` counts the UTF-8 bytes of everything that a provider tokenizes
    (messages, names, tool and output schemas); `texts` are those same texts, for the expected
    count. `input_tokens` are tokens given as such (embedding input as token arrays).
    `output_limit` is the client's own limit per choice, None where it set none;
    `choices` multiplies the output. `needs` are the Model capabilities that the request asks of
    a lane. `cache_write` is the dearest cache write that it asks for; implicit is one that the
    provider may make unasked, billed as 5m where that has a price. `has_sealed` says that the
    body holds reasoning with its vendor's name (`sealing`), which no lane of another is sent.
    `places_points` says that lanes which cache only what is marked get cache points that the client
    did not set, `cache_key` is the domain's own key for lanes that take one: both are the policy's
    (`prompt_caching`). `previous_response` is the id of the stored answer that the client wants
    continued, `continues` what is remembered of it, with its tokens in `input_tokens`; `stores`
    says that the answer may be stored where it is made (`storage`).
    """

    surface: SurfaceName
    body: dict[str, Any]
    model: str
    stream: bool
    wants_stream_usage: bool
    text_bytes: int
    texts: tuple[str, ...]
    messages: int
    tools: int
    images: int
    input_tokens: int
    output_limit: int | None
    choices: int
    needs: frozenset[str]
    tool_names: tuple[str, ...]
    cache_write: CacheWrite
    output_schema: dict[str, Any] | None
    user: str
    metadata: dict[str, str] = {}
    has_sealed: bool = False
    units: Units | None = None
    places_points: bool = False
    cache_key: str = ""
    previous_response: str = ""
    continues: Continued | None = None
    stores: bool = False


class TokenBound(msgspec.Struct, frozen=True):
    """The most tokens that a provider may bill for one attempt."""

    input: int
    output: int

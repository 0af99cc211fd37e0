"""What a provider's export says, whatever its format: billed requests, or sums by day and model.

The types that readers of formats produce and comparisons take.
"""

import hashlib

import msgspec


class ExportError(ValueError):
    """An export that cannot be believed: where, which field, what is wrong."""

    def __init__(self, source: str, place: str, field: str, what: str) -> None:
        super().__init__(": ".join(part for part in (f"{source}{place}", field, what) if part))
        self.source = source
        self.place = place
        self.field = field


def at_line(number: int) -> str:
    """A line of a file, as compilers write it."""
    return f":{number}"


class BilledRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request that a provider billed.

    `pico` is in pico-USD. `at` (milliseconds) is when the provider says that it was, 0 where it
    says nothing. `tokens` counts all that were billed, None where the export does not tell.
    """

    request_id: str
    pico: int
    source: str
    line: int
    at: int = 0
    model: str = ""
    tokens: int | None = None

    @property
    def digest(self) -> str:
        """Of what the line says, wherever it stands: the key that keeps it from counting twice."""
        said = msgspec.json.encode((self.request_id, self.pico, self.at, self.model, self.tokens))
        return hashlib.sha256(said).hexdigest()


class BilledSum(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider counted for one model (or all: "") within [start, end), in milliseconds.

    None is what the export does not tell. `input` are tokens processed afresh, cache writes
    included; `cached` were read from a cache; the two never overlap.
    """

    start: int
    end: int
    model: str
    key: str = ""
    pico: int | None = None
    requests: int | None = None
    input: int | None = None
    cached: int | None = None
    output: int | None = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One or several files of one provider.

    `provider` is what lanes usually call it, "" where the format does not tell. `digest` is the
    SHA-256 of the files' bytes. Either `requests`, by request id, or `sums`.
    """

    format: str
    provider: str
    names: list[str]
    digest: str
    requests: dict[str, BilledRequest] = {}
    sums: list[BilledSum] = []
    incomplete: bool = False
    """The provider says that there are more pages than were given."""

    @property
    def by_request(self) -> bool:
        """Whether its lines are requests, which can be booked."""
        return not self.sums and bool(self.requests)

    def span(self) -> tuple[int, int]:
        """First instant and the one behind the last, in milliseconds; (0, 0) with none."""
        starts = [one.at for one in self.requests.values() if one.at]
        ends = [at + 1 for at in starts]
        starts += [one.start for one in self.sums]
        ends += [one.end for one in self.sums]
        return (min(starts), max(ends)) if starts else (0, 0)

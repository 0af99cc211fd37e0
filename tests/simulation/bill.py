"""The providers' bill: pico-USD by a price sheet of its own. Shares no code with what it judges."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pico-USD per token of one upstream model; `long` above so many prompt tokens."""

    input: int
    cached: int
    output: int
    above: int = 0
    long_input: int = 0
    long_cached: int = 0
    long_output: int = 0

    def bill(self, prompt: int, cached: int, output: int) -> int:
        """What an answer costs."""
        if self.above and prompt > self.above:
            rates = (self.long_input, self.long_cached, self.long_output)
        else:
            rates = (self.input, self.cached, self.output)
        return (prompt - cached) * rates[0] + cached * rates[1] + output * rates[2]


@dataclass(frozen=True, slots=True)
class BillLine:
    """What one call cost."""

    call: int
    model: str
    prompt: int
    output: int
    pico: int

    @property
    def tokens(self) -> int:
        return self.prompt + self.output

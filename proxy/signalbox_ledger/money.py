"""Integer arithmetic of money: nano-USD in, nano-USD out.

Pure, and the only place where the data plane divides money or writes it as text. 1 USD is 10**9
nano-USD; prices are nano-USD per million tokens. Nothing here rounds down what somebody has to pay.
"""

NANO_PER_USD = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000
MAX_AMOUNT = 2**62
"""The largest amount of an account in any unit; sums of two still fit a 64-bit column."""

_FRACTION_DIGITS = 9


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide integers, rounding towards positive infinity. `divisor` must be positive."""
    if divisor <= 0:
        raise ValueError("divisor must be positive")
    return -(-dividend // divisor)


def line_cost(tokens: int, price: int) -> int:
    """Cost in nano-USD of `tokens` at `price` nano-USD per million tokens, rounded up."""
    if tokens < 0 or price < 0:
        raise ValueError("tokens and price must not be negative")
    return -(-(tokens * price) // TOKENS_PER_PRICE)


def format_usd(nano: int) -> str:
    """Write nano-USD as a decimal string: exact, with at least two digits behind the point."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    digits = f"{fraction:0{_FRACTION_DIGITS}d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"

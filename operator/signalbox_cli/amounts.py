"""Money, tokens and times as people read them: integers in, text out, no cost shown as nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime

from signalbox_api.jurisdictions import GROUPS


def usd(nano: int) -> str:
    """nano-USD as dollars, exact to the micro-dollar: `$0.0421`, and rounded up below that."""
    sign = "-" if nano < 0 else ""
    micro = -(-abs(nano) // 1000)
    whole, fraction = divmod(micro, 1_000_000)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{digits}"


def cost(nano: int) -> str:
    """nano-USD as dollars with six decimals, so that the points of a column stand in a line."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(-(-abs(nano) // 1000), 1_000_000)
    return f"{sign}${whole:,}.{fraction:06d}"


def amount(value: int, unit: str) -> str:
    """An amount of a budget in its unit: dollars, tokens or requests."""
    return usd(value) if unit == "usd" else f"{value:,} {unit}"


def needed(value: int, unit: str) -> str:
    """The same, for columns of what requests cost."""
    return cost(value) if unit == "usd" else f"{value:,} {unit}"


def places(jurisdictions: Iterable[str]) -> str:
    """Countries as people name them: whole groups by their name, the rest one by one."""
    left, named = set(jurisdictions), []
    for group, members in sorted(GROUPS.items(), key=lambda each: -len(each[1])):
        if members <= left:
            named.append(group)
            left -= members
    return ", ".join([*named, *sorted(left)]) or "nowhere"


def milliseconds(micro: int) -> str:
    """Microseconds as `412 ms` or `3.2 s`."""
    if micro < 1_000_000:
        return f"{micro / 1000:.0f} ms" if micro >= 10_000 else f"{micro / 1000:.1f} ms"
    return f"{micro / 1_000_000:.1f} s"


def share(ppm: int) -> str:
    """Parts per million of 1 as a decimal: 880000 is `0.88`."""
    whole, fraction = divmod(ppm, 1_000_000)
    return f"{whole}.{f'{fraction:06d}'.rstrip('0').ljust(2, '0')}"


def instant(milliseconds_since_epoch: int) -> str:
    """An instant in UTC to the second, as RFC 3339."""
    moment = datetime.fromtimestamp(milliseconds_since_epoch / 1000, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: int) -> str:
    """A duration as kubectl shows ages: `45s`, `12m`, `5h`, `3d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"

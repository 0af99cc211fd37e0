"""Amounts and instants as sentences say them. Pure; integers in, text out, no float."""

from datetime import UTC, datetime

from signalbox_ledger.money import format_usd

DAY_S = 86_400


def quantity(amount: int, unit: str) -> str:
    """An amount in a budget's unit: `$0.003`, `1200 tokens`, `3 requests`."""
    return f"${format_usd(amount)}" if unit == "usd" else f"{amount} {unit}"


def until(instant_s: int, now_s: int) -> str:
    """An instant for people, in UTC: the hour alone within a day, the date beyond it."""
    moment = datetime.fromtimestamp(instant_s, UTC)
    if instant_s - now_s < DAY_S:
        return f"{moment:%H:%M:%S} UTC" if moment.second else f"{moment:%H:%M} UTC"
    return f"{moment:%Y-%m-%d %H:%M} UTC"

"""Names of calendar periods in SQL: the one place where reports differ between databases.

Periods are in UTC; a week is named by its Monday. Each term names the period of the column
`timestamp`, in milliseconds.
"""

from signalbox_ledger.database import Dialect

PERIODS = ("hour", "day", "week", "month", "quarter")

_DATE = "strftime('{}', timestamp / 1000, 'unixepoch')"
_INSTANT = "to_timestamp(timestamp / 1000) AT TIME ZONE 'UTC'"

_TERMS: dict[Dialect, dict[str, str]] = {
    "sqlite": {
        "hour": _DATE.format("%Y-%m-%dT%H:00Z"),
        "day": _DATE.format("%Y-%m-%d"),
        "week": "date(timestamp / 1000, 'unixepoch', '-6 days', 'weekday 1')",
        "month": _DATE.format("%Y-%m"),
        "quarter": f"{_DATE.format('%Y')} || '-Q' || (({_DATE.format('%m')} + 2) / 3)",
    },
    "postgresql": {
        "hour": f"""to_char({_INSTANT}, 'YYYY-MM-DD"T"HH24:00"Z"')""",
        "day": f"to_char({_INSTANT}, 'YYYY-MM-DD')",
        "week": f"to_char(date_trunc('week', {_INSTANT}), 'YYYY-MM-DD')",
        "month": f"to_char({_INSTANT}, 'YYYY-MM')",
        "quarter": f"""to_char({_INSTANT}, 'YYYY"-Q"Q')""",
    },
}


def period_term(dialect: Dialect, period: str) -> str:
    """The SQL term for one of PERIODS."""
    return _TERMS[dialect][period]

"""JSON lines on standard error: one object per line, no user text, no secret.

Fields are ASCII-escaped, so that nothing in a value can break a line or a terminal.
"""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = "signalbox"
"""Name of the `extra` attribute that carries a line's fields."""


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON. Of an exception: its type and where it was raised."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, FIELDS, {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            line["at"] = _places(record.exc_info[1])
        return json.dumps(line, default=str)


def configure() -> None:
    """Send all logs of this process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _places(error: BaseException) -> list[str]:
    """Where it was raised: files, lines and functions, but no message and no values."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-8:]

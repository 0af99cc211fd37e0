"""Deadlines of the ledger's client that a busy machine misses, longer where nobody asks for them.

A proxy tells a client within 250 ms that the ledger does not answer. On a machine that has no core
left for the authority it says so of one that is there; a test of anything else would then fail.
What promises those deadlines runs as shipped: tests marked `deadlines`, and `Fleet(hurried=True)`.

    python -m support.patience [--die-with-parent] signalbox_proxy [its arguments]
"""

import runpy
import sys
from collections.abc import Callable
from typing import Any

from signalbox_ledger import client, connection, drawing, key_claims, stored_responses

LONG_S = 10.0


def be_patient(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Wait for an authority as long as it takes; `put` sets an attribute."""
    put(drawing, "_ANSWER_S", (LONG_S, LONG_S / 5))
    put(drawing, "_SILENT_AFTER_S", LONG_S)
    put(key_claims, "_ANSWER_S", LONG_S)
    put(stored_responses, "_ANSWER_S", LONG_S)
    put(stored_responses, "_KEEP_S", LONG_S)
    put(client, "_ANSWER_S", LONG_S)
    put(client, "_CONNECT_S", LONG_S)
    put(client, "_CLOSE_S", LONG_S)
    put(connection, "_HANDSHAKE_S", LONG_S)


def main() -> None:
    arguments = sys.argv[1:]
    module = next(each for each in arguments if not each.startswith("-"))
    arguments.remove(module)
    be_patient()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

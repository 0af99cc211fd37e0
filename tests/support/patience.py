"""Deadlines of the ledger's client that a busy machine misses, longer where nobody asks for them.

A proxy tells a client within 250 ms that the ledger does not answer. On a machine that has no core
left for the authority it says so of one that is there; a test of anything else would then fail.
What promises those deadlines runs as shipped: tests marked `deadlines`, and `Fleet(hurried=True)`.

    python -m support.patience signalbox_proxy [its arguments]
    python -m support.patience signalbox_cli up ...      # and the proxies that it starts
"""

import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from signalbox_cli import children
from signalbox_ledger import client, connection, drawing, key_claims

LONG_S = 10.0
PATIENT_MODULE = "signalbox_proxy"


def be_patient(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Wait for an authority as long as it takes; `put` sets an attribute."""
    put(drawing, "_ANSWER_S", (LONG_S, LONG_S))
    put(drawing, "_SILENT_AFTER_S", LONG_S)
    put(key_claims, "_ANSWER_S", LONG_S)
    put(client, "_ANSWER_S", LONG_S)
    put(client, "_CONNECT_S", LONG_S)
    put(client, "_CLOSE_S", LONG_S)
    put(connection, "_HANDSHAKE_S", LONG_S)


def be_patient_in_children() -> None:
    """What this process keeps running as children is patient, too."""
    start = children.Child.start.__func__  # type: ignore[attr-defined]

    async def start_patiently(cls: type[children.Child], program: children.Program) -> Any:
        if program.module == PATIENT_MODULE:
            arguments = [PATIENT_MODULE, *program.arguments]
            program = replace(program, module="support.patience", arguments=arguments)
        return await start(cls, program)

    children.Child.start = classmethod(start_patiently)  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    # `--die-with-parent` stands first where `up` starts a child.
    module = next(each for each in arguments if not each.startswith("-"))
    arguments.remove(module)
    be_patient()
    be_patient_in_children()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)

"""The `signalbox` command whose children may be slow: its proxies wait for the ledger (see
`support.patience`), and it waits for its children.

    python -m support.patient_up up MANIFESTS [its arguments]
"""

from dataclasses import replace
from typing import Any

from signalbox_cli import children, controller, keeper
from signalbox_cli.main import main

READY_S = 110.0


def be_patient_with_children() -> None:
    """As long as a busy machine takes to start them, and patient themselves."""
    keeper.READY_LIMIT_S = controller.READY_LIMIT_S = READY_S  # type: ignore[misc]
    start = children.Child.start.__func__  # type: ignore[attr-defined]

    async def start_patiently(cls: type[children.Child], program: children.Program) -> Any:
        if program.module == "signalbox_proxy":
            arguments = [program.module, *program.arguments]
            program = replace(program, module="support.patience", arguments=arguments)
        return await start(cls, program)

    children.Child.start = classmethod(start_patiently)  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    be_patient_with_children()
    main(prog_name="signalbox")

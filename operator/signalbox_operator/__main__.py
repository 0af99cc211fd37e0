"""`python -m signalbox_operator`: the operator as a process. Exit code 1 where it cannot go on."""

import asyncio
import logging
import os
import sys

from signalbox_operator.process import run
from signalbox_operator.settings import OperatorSettings, read_settings


def main() -> int:
    """Run the operator until SIGTERM."""
    settings = read_settings(None, os.environ)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(_run(settings))
    return 1


async def _run(settings: OperatorSettings) -> None:
    """Runs, and leaves without waiting for what a watch left behind: nothing of it is kept."""
    code = await run(settings)
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    raise SystemExit(main())

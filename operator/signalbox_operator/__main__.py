"""`python -m signalbox_operator`: the operator as a process. Exit code 1 where it cannot go on."""

import asyncio
import logging
import os
import sys

from signalbox_operator.process import run
from signalbox_operator.settings import read_settings


def main() -> int:
    """Run the operator until SIGTERM."""
    settings = read_settings(None, os.environ)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    return asyncio.run(run(settings))


if __name__ == "__main__":
    raise SystemExit(main())

"""What runs behind everything else: it gets what the others leave of the machine.

    with behind([sys.executable, "run.py"], output, folder, environment) as running:
        code = running.wait()

Linux shares the processor between sessions first, where autogroups are on, and within a session by
nice values (sched(7)). So it is a session of its own, and both are at their lowest. As a program
this module gives way and becomes the command.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

LOWEST = 19


@contextlib.contextmanager
def behind(
    command: Sequence[str], output: IO[Any], folder: Path, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that runs so in `folder`; what it says goes to `output`. It ends, with all that it
    started, when the context does."""
    process = subprocess.Popen(
        [sys.executable, __file__, *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    os.nice(LOWEST)
    with contextlib.suppress(OSError):  # a kernel without autogroups
        Path("/proc/self/autogroup").write_text(str(LOWEST))
    os.execv(sys.argv[1], sys.argv[1:])

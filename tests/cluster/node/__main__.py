"""A cluster from nothing, and the end-to-end tests in it.

    make cluster       = python -m cluster.node run      the cluster, the tests, the end of both
    make cluster-up    = python -m cluster.node up       keeps it; KUBECONFIG=.cluster/kubeconfig
    make cluster-down  = python -m cluster.node down
    make kind          = python -m cluster.node kind     the same tests where a container engine is

What follows `--` goes to pytest.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.node import cluster, kind, layout
from cluster.tools import build


def main() -> int:
    """What the command line says; the exit code is the tests' own."""
    parser = argparse.ArgumentParser(prog="cluster.node")
    parser.add_argument("command", choices=["run", "up", "down", "test", "kind"])
    parser.add_argument("pytest", nargs="*")
    given = parser.parse_args()
    if given.command == "down":
        cluster.down()
        print("the cluster is gone; its logs stay in .cluster/logs")
        return 0
    if given.command == "up":
        cluster.up()
        print(f"export KUBECONFIG={layout.KUBECONFIG}\nexport PATH={build.cache()}/bin:$PATH")
        return 0
    if given.command == "test":
        return _tests(given.pytest)
    makers: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "run": (cluster.up, cluster.down),
        "kind": (kind.up, kind.down),
    }
    return _run(*makers[given.command], given.pytest)


def _run(up: Callable[[], None], down: Callable[[], None], arguments: Sequence[str]) -> int:
    began = time.monotonic()
    try:
        up()
        print(f"cluster: up after {time.monotonic() - began:.0f} s", flush=True)
        return _tests(arguments)
    finally:
        down()
        print(f"cluster: all of it took {time.monotonic() - began:.0f} s", flush=True)


def _tests(arguments: Sequence[str]) -> int:
    """The end-to-end tests; they know a kubeconfig, the images' names, and kubectl and helm."""
    environment = dict(os.environ) | {
        "KUBECONFIG": str(layout.KUBECONFIG),
        "PATH": os.pathsep.join([str(build.cache() / "bin"), os.environ["PATH"]]),
        "SIGNALBOX_IMAGE": layout.IMAGE,
        "SIGNALBOX_CLIENT_IMAGE": layout.CLIENT,
        "SIGNALBOX_POSTGRES_IMAGE": layout.POSTGRES,
    }
    for name in ("kubectl", "helm"):
        build.program(name)
    python = Path(sys.executable)
    folder = layout.ROOT / "tests" / "end_to_end"
    command = [python, "-m", "pytest", "--durations=0", "--durations-min=1", "-v", *arguments]
    return subprocess.run([*command, folder], env=environment, cwd=layout.ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())

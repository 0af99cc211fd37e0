"""The programs of a Kubernetes cluster, built from their Go modules and kept in the user's cache.

    python3 tests/cluster/tools/build.py api         # kube-apiserver etcd kubectl: the fast tests
    python3 tests/cluster/tools/build.py helm kubelet

No package registry ships them. Versions and checksums stand in the go.mod and go.sum of the folders
beside this file. A program is built again only when what it is made from changed; other checkouts
with other recipes keep theirs. ${SIGNALBOX_CACHE:-~/.cache/signalbox}/cluster/bin has a link to
the latest of each, for people; tests ask `program`. It needs Go and nothing else, because it runs
before there is an environment.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).resolve().parent
KUBERNETES = "v1.34.4"
PROGRESS_S = 20.0
_STAMP = "k8s.io/component-base/version"
# kubectl refuses a server, and helm charts a cluster, whose version is the unset v0.0.0.
_STAMPS = {
    "kubernetes": (
        f"-X {_STAMP}.gitVersion={KUBERNETES} -X {_STAMP}.gitMajor=1 -X {_STAMP}.gitMinor=34 "
        f"-X {_STAMP}.gitTreeState=clean"
    ),
    "charts": "",
    "coredns": "",
}


@dataclass(frozen=True)
class Program:
    """A main package and the folder whose go.mod (and code, for `.`) says what it is made from."""

    name: str
    recipe: str
    package: str

    @property
    def flags(self) -> list[str]:
        """Static and without debug information: a third of the size, and no C compiler needed."""
        return ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {_STAMPS[self.recipe]}".strip()]

    @property
    def key(self) -> str:
        """A digest of all that decides what comes out, but for the compiler's own version."""
        parts = [self.package, platform.machine(), *self.flags]
        files = sorted(path for path in (RECIPES / self.recipe).iterdir() if path.is_file())
        contents = [part.encode() for part in parts] + [path.read_bytes() for path in files]
        return hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """Where it is once it was built."""
        return cache() / "built" / self.key / self.name


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
PROGRAMS = {
    program.name: program
    for program in (
        *(
            Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}")
            for name in (*_KUBERNETES, "kube-proxy", "kubectl")
        ),
        Program("etcd", "kubernetes", "go.etcd.io/etcd/server/v3"),
        Program("coredns", "coredns", "."),
        Program("helm", "charts", "helm.sh/helm/v3/cmd/helm"),
        Program("kubeconform", "charts", "github.com/yannh/kubeconform/cmd/kubeconform"),
    )
}
GROUPS = {
    "api": ("kube-apiserver", "etcd", "kubectl"),
    "node": (*_KUBERNETES, "kube-proxy", "etcd", "kubectl", "coredns", "helm"),
    "charts": ("helm", "kubeconform"),
    "all": tuple(PROGRAMS),
}


class BuildError(Exception):
    """A program that could not be had; the text says which and why."""


def cache() -> Path:
    """The folder of everything that belongs to clusters and outlives a checkout."""
    top = os.environ.get("SIGNALBOX_CACHE") or Path.home() / ".cache" / "signalbox"
    return Path(top) / "cluster"


def program(name: str) -> Path:
    """A program of the cluster, built now if it was not before.

    Raises BuildError with the compiler's words.
    """
    wanted = PROGRAMS[name]
    if not wanted.path.exists():
        with _lock(name):
            if not wanted.path.exists():  # nobody else built it while this process waited
                _build(wanted)
    _link(wanted)
    return wanted.path


def _build(wanted: Program) -> None:
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"{wanted.name} is built from source, and there is no `go` on the PATH")
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = wanted.path.with_name(f".{wanted.name}-{os.getpid()}")
    command = [go, "build", "-v", *wanted.flags, "-o", str(fresh), wanted.package]
    if nice := shutil.which("nice"):
        command[:0] = [nice, "-n", "5"]
    environment = dict(os.environ) | {"CGO_ENABLED": "0"}
    began = time.monotonic()
    print(f"{wanted.name}: building (once; minutes, where Go's own cache is cold)", flush=True)
    try:
        code, said = _narrated(wanted, command, environment)
        if code:
            raise BuildError(f"{wanted.name} was not built: `go build` ended with {code}\n{said}")
        fresh.replace(wanted.path)
    finally:
        fresh.unlink(missing_ok=True)
    size = wanted.path.stat().st_size / 2**20
    print(f"{wanted.name}: {time.monotonic() - began:.0f} s, {size:.0f} MiB", flush=True)


def _narrated(
    wanted: Program, command: list[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Runs the compiler and says every now and then how far it is; its exit code and last words."""
    process = subprocess.Popen(
        command,
        cwd=RECIPES / wanted.recipe,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    began = time.monotonic()
    try:
        while reader.is_alive():
            reader.join(PROGRESS_S)
            if reader.is_alive():
                passed = time.monotonic() - began
                print(f"{wanted.name}: {passed:.0f} s, {len(lines)} packages", flush=True)
        return process.wait(), "".join(lines[-30:])
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@contextlib.contextmanager
def _lock(name: str) -> Iterator[None]:
    """One build of a program at a time; the kernel frees the lock of a process that died."""
    folder = cache() / "built"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: another process is building it; waiting", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(wanted: Program) -> None:
    """Point `bin/NAME` at this build; two that do so at once both succeed."""
    link = cache() / "bin" / wanted.name
    if link.is_symlink() and link.readlink() == wanted.path:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{wanted.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(wanted.path)
    fresh.replace(link)


def main() -> int:
    """Build what is named; the exit code is 1 when something could not be built."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    choices = [*GROUPS, *PROGRAMS]
    parser.add_argument(
        "names", nargs="+", choices=choices, metavar="NAME", help=", ".join(choices)
    )
    names = [name for given in parser.parse_args().names for name in GROUPS.get(given, (given,))]
    try:
        for name in dict.fromkeys(names):
            program(name)
    except BuildError as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

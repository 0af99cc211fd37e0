"""Images made without a container engine and without a registry: archives that a node imports.

    python -m cluster.node.images [signalbox]     prints the archive's path and sizes

A base comes from Debian packages (mmdebstrap), Python packages as wheels by the hashes of the lock,
the rest from this checkout's `Dockerfile`, built by buildah. What an archive is made from names its
file, so that the second time costs nothing. Nothing is fetched while the Dockerfile is built.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from cluster.node import layout
from cluster.tools import build

RELEASE = "bookworm"
TIMESTAMP = "1767225600"
"""SOURCE_DATE_EPOCH of every image: equal sources give equal bytes."""
KEPT = 2
STORED_MIB = 4096
_LEFT_OUT = ("doc", "man", "locale", "info", "lintian")
BASES: dict[str, tuple[str, ...]] = {
    "python": ("python3", "python3-venv", "ca-certificates"),
    "postgres": ("postgresql-15",),
}
_POSTGRES_USER = (  # the user of the official image, the chart's default; no server is made
    'echo postgres:x:999:999::/tmp:/bin/sh >>"$1/etc/passwd"; echo postgres:x:999: >>"$1/etc/group"'
    '; mkdir -p "$1/etc/postgresql-common"'
    '; echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.conf"'
)
SOURCES = ("Dockerfile", ".dockerignore", "requirements/run.lock", "pyproject.toml", "README.md")
PACKAGES = ("crds/signalbox_api", "operator", "proxy")
_PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
"""


def signalbox() -> Path:
    """The product's image, as an archive."""
    found = [path for name in PACKAGES for path in sorted((layout.ROOT / name).rglob("*"))]
    files = [layout.ROOT / name for name in SOURCES] + found
    files = [path for path in files if "__pycache__" not in path.parts and path.is_file()]
    base = _base("python")

    def make(archive: Path) -> None:
        wheels = _wheels(layout.ROOT / "requirements" / "run.lock")
        arguments = {"BASE": _known(base), "SOURCE_DATE_EPOCH": TIMESTAMP}
        _dockerfile(layout.IMAGE, layout.ROOT, archive, arguments, wheels)

    return _archive("signalbox", [base.name, *_digests(files)], make)


def client() -> Path:
    """The product's image with the SDK that applications use: what runs in the tests' pods."""
    below = signalbox()
    folder = layout.ROOT / "tests" / "end_to_end" / "client"
    lock = layout.ROOT / "requirements" / "dev.lock"
    files = [lock, *sorted(path for path in folder.rglob("*") if path.is_file())]

    def make(archive: Path) -> None:
        _buildah("pull", "--quiet", f"docker-archive:{below}")
        wheels = _wheels(lock, "openai")
        _dockerfile(layout.CLIENT, folder, archive, {"BASE": layout.IMAGE}, wheels)

    return _archive("client", [below.name, *_digests(files)], make)


def postgres() -> Path:
    """A PostgreSQL server as the chart's bundled one wants it."""
    base = _base("postgres")
    recipe = (
        "FROM scratch\nADD base.tar /\n"
        "ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin\nUSER 999:999\n"
    )
    return _scratch(layout.POSTGRES, {"base.tar": base}, recipe)


def pause() -> Path:
    """The program that holds a pod's namespaces."""
    program = build.cache() / "built" / hashlib.sha256(_PAUSE.encode()).hexdigest()[:16] / "pause"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "pause.go"
            source.write_text(_PAUSE)
            environment = dict(os.environ) | {"CGO_ENABLED": "0"}
            command = ["go", "build", "-ldflags", "-s -w", "-o", str(program), str(source)]
            subprocess.run(command, check=True, env=environment)
    return _scratch(layout.PAUSE, {"pause": program}, 'FROM scratch\nADD pause /\nCMD ["/pause"]\n')


def coredns() -> Path:
    """What answers the cluster's names."""
    recipe = 'FROM scratch\nADD coredns /\nUSER 65532\nENTRYPOINT ["/coredns"]\n'
    return _scratch(layout.COREDNS, {"coredns": build.program("coredns")}, recipe)


def _scratch(tag: str, files: Mapping[str, Path], recipe: str) -> Path:
    name = tag.partition("/")[2].partition(":")[0]

    def make(archive: Path) -> None:
        with tempfile.TemporaryDirectory(dir=layout.cache("images")) as folder:
            for target, source in files.items():
                shutil.copy2(source, Path(folder) / target)
            (Path(folder) / "Dockerfile").write_text(recipe)
            _dockerfile(tag, Path(folder), archive, {}, None)

    return _archive(name, [recipe, *(str(source) for source in files.values())], make)


def _base(name: str) -> Path:
    """A root file system of Debian packages: no package manager's lists, no manuals."""
    packages = BASES[name]
    options = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT]
    options += ["--variant=essential", '--aptopt=APT::Install-Recommends "false"']
    merged = Path("/usr/share/mmdebstrap/hooks/merged-usr")
    if merged.is_dir():  # otherwise a program in Perl merges /usr, and stays
        options += [f"--hook-dir={merged}"]
        packages = ("usr-is-merged", *packages)
    if name == "postgres":
        options += [f"--essential-hook={_POSTGRES_USER}"]
    options += [f"--include={','.join(packages)}"]

    def make(archive: Path) -> None:
        environment = dict(os.environ) | {"SOURCE_DATE_EPOCH": TIMESTAMP}
        unsafe = "--dpkgopt=force-unsafe-io"  # a crash leaves no half archive: it is renamed last
        _run(["mmdebstrap", unsafe, *options, RELEASE, str(archive)], env=environment)

    return _archive(f"base-{name}", [RELEASE, *options], make)


def _known(base: Path) -> str:
    """The name under which buildah knows a base; imported when it does not yet."""
    tag = f"localhost/{base.stem}"
    if _buildah("images", "--quiet", "--filter", f"reference={tag}").strip():
        return tag
    with tempfile.TemporaryDirectory(dir=layout.cache("images")) as folder:
        (Path(folder) / "base.tar").hardlink_to(base)
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        _buildah("build", "--quiet", "--timestamp", TIMESTAMP, "--tag", tag, folder)
    return tag


def _wheels(lock: Path, *names: str) -> Path:
    """Wheels of a lock, checked by its hashes; only those of `names` and what they need, if given.

    They are downloaded here, where pip's own settings of this machine hold.
    """
    key = hashlib.sha256(lock.read_bytes() + " ".join(names).encode()).hexdigest()[:16]
    folder = layout.cache("wheels") / key
    if folder.exists():
        return folder
    fresh = folder.with_name(f".{key}-{os.getpid()}")
    constraint = ["--constraint", str(lock), *names] if names else []
    hashed = constraint or ["--require-hashes", "--requirement", str(lock)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    target = ["--only-binary", ":all:", "--python-version", "3.11", "--dest", str(fresh)]
    _run([*command, *target, *hashed])
    fresh.rename(folder)
    return folder


def _dockerfile(
    tag: str, folder: Path, archive: Path, arguments: Mapping[str, str], wheels: Path | None
) -> None:
    command = ["build", "--quiet", "--layers", "--isolation", "chroot", "--timestamp", TIMESTAMP]
    if wheels is not None:
        command += ["--volume", f"{wheels}:/wheels:ro"]
        command += ["--build-arg", "PIP_OPTIONS=--no-index --find-links /wheels"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    _buildah(*command, "--tag", tag, str(folder))
    _buildah("push", "--quiet", tag, f"docker-archive:{archive}:{tag}")
    storage = layout.cache(f"storage-{_driver()}")
    if int(_run(["du", "-sm", str(storage)]).split()[0]) > STORED_MIB:
        _buildah("rmi", "--all", "--force")  # layers of former builds only save time


def _buildah(*arguments: str) -> str:
    storage = layout.cache(f"storage-{_driver()}")
    options = ["--root", str(storage), "--runroot", f"{storage}-run"]
    return _run(["buildah", *options, "--storage-driver", _driver(), *arguments])


@cache
def _driver() -> str:
    """overlay, or vfs where this file system is no base for one: it copies all for each layer."""
    with tempfile.TemporaryDirectory(dir=layout.cache("images")) as folder:
        for name in ("lower", "upper", "work", "merged"):
            (Path(folder) / name).mkdir()
        folders = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        target = f"{folder}/merged"
        mount = ["mount", "-t", "overlay", "overlay", "-o", folders, target]
        if subprocess.run(mount, capture_output=True).returncode:
            return "vfs"
        subprocess.run(["umount", target], check=True)
    return "overlay"


def _archive(name: str, parts: Iterable[str], make: Callable[[Path], None]) -> Path:
    """The file of this content, made now if it is not there; the oldest others go."""
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = layout.cache("images")
    archive = folder / f"{name}-{key}.tar"
    if archive.exists():
        os.utime(archive)
        return archive
    began = time.monotonic()
    print(f"image {name}: making {archive.name}", flush=True)
    fresh = folder / f".{name}-{key}-{os.getpid()}.tar"
    fresh.unlink(missing_ok=True)
    try:
        make(fresh)
        fresh.rename(archive)
    finally:
        fresh.unlink(missing_ok=True)
    size = archive.stat().st_size / 2**20
    print(f"image {name}: {time.monotonic() - began:.0f} s, {size:.0f} MiB", flush=True)
    for old in sorted(folder.glob(f"{name}-*.tar"), key=_age)[:-KEPT]:
        old.unlink(missing_ok=True)
    return archive


def _digests(files: Sequence[Path]) -> list[str]:
    return [
        f"{path.relative_to(layout.ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    ]


def _run(command: list[str], env: Mapping[str, str] | None = None) -> str:
    nice = ["nice", "-n", "5"] if shutil.which("nice") else []
    ran = subprocess.run([*nice, *command], capture_output=True, text=True, env=env)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stdout[-2000:]}{ran.stderr[-6000:]}")
    return ran.stdout


def _age(path: Path) -> float:
    return path.stat().st_mtime


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ["signalbox"]:
        print({"signalbox": signalbox, "client": client, "postgres": postgres}[wanted]())

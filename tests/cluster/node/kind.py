"""The same cluster through `kind`, where a container engine (docker or podman) and kind are."""

import shutil
import subprocess

from cluster.node import layout

NAME = "signalbox-test"
PYTHON = "python:3.11-slim-bookworm"
POSTGRES = "postgres:17"


def up() -> None:
    """Make the cluster, build the images with the engine, load them."""
    engine = _engine()
    down()
    layout.LOGS.mkdir(parents=True, exist_ok=True)
    _run("kind", "create", "cluster", *_named(), "--wait", "180s")
    client = layout.ROOT / "tests" / "end_to_end" / "client"
    _run(engine, "build", "--build-arg", f"BASE={PYTHON}", "--tag", layout.IMAGE, str(layout.ROOT))
    base = f"BASE={layout.IMAGE}"
    _run(engine, "build", "--build-arg", base, "--tag", layout.CLIENT, str(client))
    _run(engine, "pull", POSTGRES)
    _run(engine, "tag", POSTGRES, layout.POSTGRES)
    for number, image in enumerate((layout.IMAGE, layout.CLIENT, layout.POSTGRES)):
        archive = layout.STATE / f"image-{number}.tar"
        archive.unlink(missing_ok=True)
        _run(engine, "save", "--output", str(archive), image)
        _run("kind", "load", "image-archive", str(archive), "--name", NAME)


def down() -> None:
    """End it; there being none is no error."""
    _run("kind", "delete", "cluster", *_named())


def _named() -> list[str]:
    return ["--name", NAME, "--kubeconfig", str(layout.KUBECONFIG)]


def _engine() -> str:
    """The container engine; raises SystemExit where one, or kind, is missing."""
    engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
    if engine is None or shutil.which("kind") is None:
        raise SystemExit(
            "`make kind` needs kind and docker or podman; `make cluster` needs neither"
        )
    return engine


def _run(*command: str) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    if code := subprocess.run(command).returncode:
        raise SystemExit(f"{command[0]} ended with {code}")

"""Folders of generated YAML files: written, or compared with what they should hold."""

import sys
from collections.abc import Mapping
from pathlib import Path


def differences(wanted: Mapping[str, str], folder: Path, source: str) -> list[str]:
    """Sentences about files that are missing, differ from `source` or are left over; none if all
    fits. `wanted` is the text of each file by its name."""
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return [
        *(f"{folder / name} is missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{folder / name} is left over" for name in sorted(found.keys() - wanted.keys())),
        *(
            f"{folder / name} differs from {source}"
            for name in sorted(wanted.keys() & found.keys())
            if wanted[name] != found[name]
        ),
    ]


def check(wanted: Mapping[str, str], folder: Path, source: str) -> int:
    """Tells every difference; the exit code, 1 where there is one."""
    found = differences(wanted, folder, source)
    for sentence in found:
        sys.stderr.write(f"{sentence}; run `make generate`\n")
    return 1 if found else 0


def write(wanted: Mapping[str, str], folder: Path) -> None:
    """Makes the folder's YAML files these and no others."""
    for path in folder.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")

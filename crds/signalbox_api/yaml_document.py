"""One YAML document as plain data, with the line of each part and what is wrong with it.

What `yaml_reader` gives and `manifest_object` takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from signalbox_api.yaml_scalars import Scalar

Value: TypeAlias = "dict[str, Value] | list[Value] | Scalar"
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the YAML itself. `line` counts from 1."""

    line: int
    path: Path
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, where its parts stand, and what is wrong with it.

    `value` is what could be read and serves to name the object; with faults it is not to be used.
    """

    line: int
    value: Value
    faults: tuple[Fault, ...]
    lines: Mapping[int, Mapping[str | int, int]] = field(repr=False)

    def line_of(self, path: Path) -> int:
        """The line of the innermost part of `path` that is written in the document."""
        line, here = self.line, self.value
        for step in path:
            inside = self.lines.get(id(here), {})
            if step not in inside:
                break
            line = inside[step]
            match here, step:
                case dict(), str() if step in here:
                    here = here[step]
                case list(), int() if step < len(here):
                    here = here[step]
                case _:
                    break
        return line

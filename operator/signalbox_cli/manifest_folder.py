"""Manifests read and compiled, with everything that is wrong about them in one list.

Used by `check`, `explain` and `up`. Reading finds faults of files, compiling faults of what they
say together; a person sees both the same way, with file and line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signalbox_api import Resource, ResourceKey
from signalbox_api.load import Found, Loaded, read_paths
from signalbox_api.problems import Problem
from signalbox_operator.compiler import Compilation, Finding, compile_objects

SEVERITIES: Final = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know about one object. `line` is 0 and `file` "" where there is no file."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    field: str
    severity: str
    reason: str
    message: str
    fix: str

    @property
    def place(self) -> str:
        """file:line, or ""."""
        return f"{self.file}:{self.line}" if self.file else ""

    @property
    def owner(self) -> str:
        """The object, or "" where a file as a whole is meant."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.name else ""

    @property
    def sentence(self) -> str:
        """What is wrong and what to do."""
        field = f"{self.field}: " if self.field else ""
        return f"{field}{self.message}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a folder says: the compilation, and all remarks, errors first."""

    loaded: Loaded
    compilation: Compilation
    remarks: tuple[Remark, ...]

    def count(self, severity: str) -> int:
        """How many remarks of one severity there are."""
        return sum(remark.severity == severity for remark in self.remarks)


def read(folder: Path) -> Loaded:
    """All objects of a file or folder."""
    return read_paths([folder])


def compiled(
    loaded: Loaded,
    objects: Iterable[Resource],
    *,
    platform_namespace: str,
    simulate_url: str | None = None,
    previous: Mapping[ResourceKey, Resource] | None = None,
) -> Compiled:
    """Compiles `objects`, which are those of `loaded`, maybe amended."""
    compilation = compile_objects(
        objects,
        platform_namespace=platform_namespace,
        simulate_url=simulate_url,
        previous=previous,
    )
    return Compiled(loaded, compilation, remarks(loaded, compilation.findings))


def remarks(loaded: Loaded, findings: Iterable[Finding] = ()) -> tuple[Remark, ...]:
    """Faults of files and findings about objects, errors first, then by file."""
    places = {found.resource.key: found for found in loaded.found}
    listed = [_of_problem(problem) for problem in loaded.problems]
    listed += [_of_finding(finding, places.get(finding.key)) for finding in findings]
    return tuple(
        sorted(listed, key=lambda each: (SEVERITIES.index(each.severity), each.file, each.line))
    )


def _of_problem(problem: Problem) -> Remark:
    return Remark(
        file=_shown(problem.file),
        line=problem.line,
        kind=problem.kind,
        namespace=problem.namespace,
        name=problem.name,
        field=problem.path,
        severity="error",
        reason=problem.reason,
        message=problem.message,
        fix=problem.fix,
    )


def _of_finding(finding: Finding, found: Found | None) -> Remark:
    return Remark(
        file=_shown(found.file) if found else "",
        line=found.line if found else 0,
        kind=finding.kind,
        namespace=finding.namespace,
        name=finding.name,
        field=finding.field,
        severity=finding.severity,
        reason=finding.reason,
        message=finding.message,
        fix=finding.fix[:1].lower() + finding.fix[1:],
    )


def _shown(file: str) -> str:
    path = Path(file)
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return file

"""Manifests to typed objects: `read_paths`, `read_text`, `read_object`. Errors are values.

One bad document hides no other. Objects of other API groups are left alone. What the API server
would refuse is refused here too; beyond that, an empty field (`residency:` with nothing behind it),
a key written twice and an object given twice are refused, as they hide what the author meant.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from signalbox_api import yaml_reader
from signalbox_api.base import DEFAULT_NAMESPACE, GROUP, Resource, ResourceKey
from signalbox_api.conditions import Reason
from signalbox_api.kinds import KINDS
from signalbox_api.manifest_object import Item, empty_fields, envelope_problems, validated
from signalbox_api.problems import Problem
from signalbox_api.yaml_document import Document
from signalbox_api.yaml_reader import MAX_FILE_BYTES

MAX_FILES: Final = 10_000
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Found:
    """A valid object and where it is written."""

    resource: Resource
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that was read: valid objects in order, and everything that is wrong."""

    found: tuple[Found, ...]
    problems: tuple[Problem, ...]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The valid objects, in the order of files and documents."""
        return tuple(item.resource for item in self.found)


def read_paths(paths: Iterable[Path], *, namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """Reads files, and all `.yaml`, `.yml` and `.json` files below directories, sorted by path.

    Hidden files are left out. `namespace` is where objects without one belong.
    """
    found: list[Found | Problem] = []
    for number, path in enumerate(_files(paths)):
        if number == MAX_FILES:
            found.append(_file_problem(path, f"is one of more than {MAX_FILES} files", "read less"))
            break
        found += _file(path, namespace)
    return _without_duplicates(found)


def read_text(text: bytes | str, file: str, *, namespace: str = DEFAULT_NAMESPACE) -> Loaded:
    """Reads the documents of one YAML or JSON text; `file` is what problems call it."""
    return _without_duplicates(_text(text, file, namespace))


def read_object(
    data: Mapping[str, Any], *, file: str = "", namespace: str = DEFAULT_NAMESPACE
) -> Resource | tuple[Problem, ...]:
    """One object as JSON-compatible data, such as the API server returns it, status included.

    A status that cannot be read is left out: it is what Signalbox once wrote, not what is wanted.
    """
    document = Document(0, None, (), {})
    item = Item(data, document, (), file, namespace)
    problems = tuple(envelope_problems(item))
    return problems or validated(item, status=True)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder, name)
                if file.suffix in _SUFFIXES and not name.startswith(".") and file.is_file():
                    yield file


def _file(path: Path, namespace: str) -> list[Found | Problem]:
    name = os.fsencode(path).decode("utf-8", "replace")
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return [_file_problem(name, f"cannot be read: {error.strerror}", "check path and rights")]
    return _text(text, name, namespace)


def _text(text: bytes | str, file: str, namespace: str) -> list[Found | Problem]:
    if len(text) > MAX_FILE_BYTES:
        return [_file_problem(file, f"is larger than {MAX_FILE_BYTES >> 20} MiB", "split it")]
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return [_file_problem(file, f"is not UTF-8 at byte {error.start}", "save it as UTF-8")]
    return [
        result
        for document in yaml_reader.documents(text)
        for result in _document(document, file, namespace)
    ]


def _document(document: Document, file: str, namespace: str) -> Iterator[Found | Problem]:
    data = document.value if isinstance(document.value, dict) else {}
    whole = Item(data, document, (), file, namespace)
    if document.faults:
        for fault in document.faults:
            problem = whole.problem(fault.path, fault.message, fault.fix)
            yield _at_line(problem, fault.line)
    elif not isinstance(document.value, dict):
        yield whole.problem(
            (), "is not an object", "begin with apiVersion, kind, metadata and spec"
        )
    else:
        for item in _items(whole):
            yield from _object(item)


def _items(whole: Item) -> Iterator[Item]:
    """The objects of a document: itself, or the items of a List."""
    kind, items = whole.data.get("kind"), whole.data.get("items")
    known = {"List", *(f"{name}List" for name in KINDS)}
    if not isinstance(kind, str) or kind not in known or not isinstance(items, list):
        yield whole
        return
    for index, part in enumerate(items):
        data = part if isinstance(part, dict) else {}
        yield Item(data, whole.document, ("items", index), whole.file, whole.namespace)


def _object(item: Item) -> Iterator[Found | Problem]:
    group, _, _ = str(item.data.get("apiVersion", "")).rpartition("/")
    if group != GROUP and item.data.get("apiVersion") and item.data.get("kind"):
        return
    problems = [*envelope_problems(item), *empty_fields(item)]
    result = problems or validated(item, status=False)
    if isinstance(result, Resource):
        yield Found(result, item.file, item.document.line_of(item.prefix))
    else:
        yield from result


def _without_duplicates(results: Sequence[Found | Problem]) -> Loaded:
    first: dict[ResourceKey, Found] = {}
    problems: list[Problem] = []
    for result in results:
        if isinstance(result, Problem):
            problems.append(result)
            continue
        earlier = first.setdefault(result.resource.key, result)
        if earlier is not result:
            problems.append(_duplicate(result, earlier))
    return Loaded(tuple(first.values()), tuple(problems))


def _duplicate(found: Found, earlier: Found) -> Problem:
    key = found.resource.key
    return Problem(
        file=found.file,
        line=found.line,
        kind=key.kind,
        namespace=key.namespace,
        name=key.name,
        path="metadata.name",
        message=f"is given a second time, first at {earlier.file}:{earlier.line}",
        fix="remove or rename one; the first one counts",
        reason=Reason.DUPLICATE,
    )


def _file_problem(file: Path | str, message: str, fix: str) -> Problem:
    return Problem(str(file), 1, "", "", "", "", message, fix)


def _at_line(problem: Problem, line: int) -> Problem:
    return dataclasses.replace(problem, line=line)

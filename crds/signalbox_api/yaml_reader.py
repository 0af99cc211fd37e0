"""YAML text to plain data, hostile input included.

Sizes, depth and the growth through aliases are bounded, nothing recurses, and nothing but dict,
list and scalars is ever built. Every document is read by itself: a broken one hides no other.
`load` turns the data into objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from signalbox_api.yaml_document import Document, Fault, Path, Value
from signalbox_api.yaml_scalars import Ambiguous, Scalar, meaning

MAX_FILE_BYTES: Final = 8 << 20
MAX_NODES: Final = 250_000
"""Values in one document, counted as if every alias were written out."""
MAX_DEPTH: Final = 32
MAX_DOCUMENTS: Final = 20_000

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", flags=re.MULTILINE)
_STRING_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})
_PLAIN_TAGS: Final = {
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:null": type(None),
}
_COLLECTION_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class _BrokenError(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, line: int, message: str, fix: str) -> None:
        super().__init__(message)
        self.line, self.message, self.fix = line, message, fix


def documents(text: str) -> Iterator[Document]:
    """Every document of a YAML text, in order; empty ones are left out."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text) if match.start() > 0)]
    line = 1
    found = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        chunk = text[start:end]
        if chunk.removeprefix("---").strip():
            found += 1
            if found > MAX_DOCUMENTS:
                message = f"is one of more than {MAX_DOCUMENTS} documents"
                yield Document(line, None, (Fault(line, (), message, "split the file"),), {})
                return
            yield from _chunk(chunk, line)
        line += chunk.count("\n")


def _chunk(chunk: str, first_line: int) -> Iterator[Document]:
    builder = _Builder(first_line)
    try:
        for event in yaml.parse(chunk, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(first_line)
            elif isinstance(event, yaml.DocumentEndEvent):
                if builder.root is not None or builder.faults:
                    yield builder.document()
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                builder.take(event)
    except _BrokenError as broken:
        builder.fault(broken.line, broken.message, broken.fix)
        yield builder.document()
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = first_line + _error_line(error, chunk)
        builder.fault(line, f"is not YAML: {problem}", "correct the indentation, quotes or braces")
        yield builder.document()


def _error_line(error: yaml.YAMLError, chunk: str) -> int:
    """Line of a syntax error, from 0; errors of single characters know their offset only."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return min(int(mark.line), chunk.count("\n"))
    offset = getattr(error, "position", 0)
    return chunk.encode("utf-8", "replace")[:offset].count(b"\n")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not been reached."""

    value: "dict[str, Value] | list[Value]"
    anchor: str | None
    nodes_before: int
    key: str | None = None
    step: str | int | None = None
    merged: "list[Value]" = field(default_factory=list)


class _Builder:
    """Builds the value of one document from parser events, with a stack instead of recursion."""

    def __init__(self, first_line: int) -> None:
        self._first_line = first_line
        self._start: int | None = None
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._lines: dict[int, dict[str | int, int]] = {}
        self._nodes = 0
        self.root: Value = None
        self.faults: list[Fault] = []

    def document(self) -> Document:
        start = self._first_line if self._start is None else self._start
        return Document(start, self.root, tuple(self.faults), self._lines)

    def fault(self, line: int, message: str, fix: str) -> None:
        self.faults.append(Fault(line, self._path(), message, fix))

    def take(self, event: yaml.Event) -> None:
        line = self._first_line + _line(event)
        match event:
            case yaml.AliasEvent():
                self._alias(str(event.anchor), line)
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.CollectionStartEvent():
                self._open(event, line)
            case yaml.CollectionEndEvent():
                self._close(line)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _BrokenError(
                line, f"has more than {MAX_NODES} values", "split it into several files"
            )

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise _BrokenError(
                line, f"*{anchor} stands before the end of &{anchor}", "write it out"
            )
        value, nodes = self._anchors[anchor]
        self._count(nodes, line)
        if self._wants_key():
            raise _BrokenError(line, f"*{anchor} cannot be a key", "write the key out")
        self._begin(line)
        self._put(value)

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if self._wants_key():
            raise _BrokenError(
                line, "a list or map cannot be a key", "write a word before the colon"
            )
        if event.tag not in _COLLECTION_TAGS:
            raise _BrokenError(line, f"the tag {event.tag} is not understood", "remove the tag")
        if len(self._stack) >= MAX_DEPTH:
            raise _BrokenError(line, f"is nested deeper than {MAX_DEPTH} levels", "flatten it")
        self._count(1, line)
        value: dict[str, Value] | list[Value]
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._begin(line)
        self._put(value)
        self._stack.append(_Open(value, event.anchor, self._nodes))

    def _close(self, line: int) -> None:
        done = self._stack.pop()
        if isinstance(done.value, dict):
            for source in done.merged:
                self._merge(done.value, source, line)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, self._nodes - done.nodes_before + 1)

    def _merge(self, target: "dict[str, Value]", source: Value, line: int) -> None:
        for part in source if isinstance(source, list) else [source]:
            if not isinstance(part, dict):
                raise _BrokenError(line, "<< takes a map or a list of maps", "write the fields out")
            for key, value in part.items():
                target.setdefault(key, value)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._count(1, line)
        if self._wants_key():
            self._key(event, line)
            return
        self._begin(line)
        value = self._value(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value)

    def _key(self, event: yaml.ScalarEvent, line: int) -> None:
        here = self._stack[-1]
        here.key = here.step = str(event.value)
        self._note_line(here, line)
        if event.implicit[0]:
            read = meaning(event.value)
            if isinstance(read, Ambiguous):
                self.fault(line, read.message, f'write "{event.value}"')
            elif read is None:
                self.fault(line, "has a key without a name", "write the key before the colon")
        if here.key in here.value:
            self.fault(line, f"{event.value!r} is written twice", "keep one of them")

    def _value(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        if event.tag in _STRING_TAGS or (event.tag is None and not event.implicit[0]):
            return str(event.value)
        read = meaning(event.value)
        if isinstance(read, Ambiguous):
            self.fault(line, read.message, read.fix)
            return str(event.value)
        if event.tag is not None and not isinstance(read, _PLAIN_TAGS.get(event.tag, ())):
            self.fault(line, f"the tag {event.tag} is not understood", "remove the tag")
        return read

    def _wants_key(self) -> bool:
        here = self._stack[-1] if self._stack else None
        return here is not None and isinstance(here.value, dict) and here.key is None

    def _begin(self, line: int) -> None:
        """A value begins on a line: in the root, at the next index or behind the last key."""
        if self._start is None:
            self._start = line
        if not self._stack:
            return
        here = self._stack[-1]
        if isinstance(here.value, list):
            here.step = len(here.value)
        self._note_line(here, line)

    def _note_line(self, here: _Open, line: int) -> None:
        if here.step is not None:
            self._lines.setdefault(id(here.value), {}).setdefault(here.step, line)

    def _put(self, value: Value) -> None:
        if not self._stack:
            self.root = value
            return
        here = self._stack[-1]
        if isinstance(here.value, list):
            here.value.append(value)
        elif here.key == "<<":
            here.merged.append(value)
            here.key = None
        elif here.key is not None:
            here.value.setdefault(here.key, value)
            here.key = None

    def _path(self) -> Path:
        return tuple(item.step for item in self._stack if item.step is not None)

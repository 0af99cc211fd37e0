"""Opens a provider's export: bounded, strict about its encoding, told apart by what it says.

Lines are read one at a time, so that a file may be larger than memory; what is kept of each is
small. `read` gives one `Export` for files of one kind.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from signalbox_ledger import reconciliation_pages, reconciliation_tables
from signalbox_ledger.reconciliation_export import (
    BilledRequest,
    BilledSum,
    Export,
    ExportError,
    at_line,
)

MAX_LINES: Final = 2_000_000
MAX_LINE: Final = 256 * 1024
MAX_DOCUMENT: Final = 64 * 1024 * 1024

Advance = Callable[[int], None]
"""Told how many more bytes were read."""

_BOM: Final = b"\xef\xbb\xbf"


class _Lines:
    """The lines of one file, decoded and counted."""

    def __init__(self, path: Path, advance: Advance) -> None:
        self.name = path.name
        self.number = 0
        self._path = path
        self._advance = advance
        self._digest = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        try:
            with self._path.open("rb") as file:
                while line := file.readline(MAX_LINE + 1):
                    self.number += 1
                    yield self._checked(line)
        except OSError as error:
            raise ExportError(self.name, "", "", f"cannot be read: {error.strerror}") from None

    def _checked(self, line: bytes) -> str:
        self._digest.update(line)
        self._advance(len(line))
        if len(line) > MAX_LINE:
            raise self.error("", f"the line is longer than {MAX_LINE} bytes")
        if self.number > MAX_LINES:
            raise self.error("", f"more than {MAX_LINES:,} lines; split the export by day")
        if self.number == 1:
            line = line.removeprefix(_BOM)
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("", "is not UTF-8; export it as UTF-8 text, not compressed") from None
        if "\x00" in text:
            raise self.error("", "contains NUL bytes; this is not a text export")
        return text

    def error(self, field: str, what: str) -> ExportError:
        """Something about the line that was read last."""
        return ExportError(self.name, at_line(self.number), field, what)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was read."""
        return self._digest.digest()


def read(paths: Sequence[Path], advance: Advance = lambda _: None) -> Export:
    """All files as one export. Raises ExportError naming file, line and field."""
    parts = [_read_one(path, advance) for path in paths]
    first = parts[0]
    requests: dict[str, BilledRequest] = {}
    sums: list[BilledSum] = []
    for part in parts:
        if part.format != first.format:
            raise ExportError(
                part.names[0],
                "",
                "",
                f"is {part.format}, {first.names[0]} is {first.format};"
                " reconcile different kinds of exports one after the other",
            )
        for request in part.requests.values():
            if (known := requests.setdefault(request.request_id, request)) is not request:
                raise _twice(request, known)
        sums += part.sums
    joined = hashlib.sha256(b"".join(sorted(bytes.fromhex(part.digest) for part in parts)))
    return Export(
        format=first.format,
        provider=first.provider,
        names=[part.names[0] for part in parts],
        digest=first.digest if len(parts) == 1 else joined.hexdigest(),
        requests=requests,
        sums=sums,
        incomplete=reconciliation_pages.is_incomplete([part.incomplete for part in parts]),
    )


def _read_one(path: Path, advance: Advance) -> Export:
    lines = _Lines(path, advance)
    source = iter(lines)
    for first in source:
        if first.strip():
            break
    else:
        raise ExportError(path.name, "", "", "is empty")
    if first.lstrip()[0] not in "{[":
        return _read_table(lines, first, source)
    document = _whole_document(lines, first)
    if isinstance(document, dict) and not reconciliation_pages.is_page(document):
        return _read_objects(lines, document, source)
    return _read_pages(lines, first, source)


def _read_table(lines: _Lines, first: str, rest: Iterator[str]) -> Export:
    rows = csv.reader(_again(first, rest), strict=True)
    requests: dict[str, BilledRequest] = {}
    sums: list[BilledSum] = []
    try:
        header = [each.strip() for each in next(rows)]
        try:
            table = reconciliation_tables.table_for(header)
        except ValueError as error:
            raise lines.error("", str(error)) from None
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise lines.error("", f"has {len(cells)} cells, the header has {len(header)}")
            row = dict(zip(header, cells, strict=True))
            try:
                found = table.read(row, (lines.name, lines.number))
            except reconciliation_tables.FieldError as error:
                raise lines.error(error.field, error.what) from None
            _keep(found, requests, sums)
    except csv.Error as error:
        raise lines.error("", f"is not CSV: {error}") from None
    return _export(lines, table, requests, sums)


def _read_objects(lines: _Lines, first: dict[str, Any], rest: Iterator[str]) -> Export:
    """One JSON object a line, each a billed request."""
    requests: dict[str, BilledRequest] = {}
    table = reconciliation_tables.REQUEST_OBJECTS
    document: object = first
    while True:
        if not isinstance(document, dict):
            raise lines.error("", "is not a JSON object; one object a line is expected")
        try:
            found = table.read(document, (lines.name, lines.number))
        except reconciliation_tables.FieldError as error:
            raise lines.error(error.field, error.what) from None
        _keep(found, requests, [])
        for line in rest:
            if line.strip():
                break
        else:
            return _export(lines, table, requests, [])
        document = _document(lines, line)


def _read_pages(lines: _Lines, first: str, rest: Iterator[str]) -> Export:
    """A page of an API, pretty-printed or not, a list of them, or one a line."""
    text, size = [first], len(first)
    for line in rest:
        size += len(line)
        if size > MAX_DOCUMENT:
            raise lines.error("", f"the document is larger than {MAX_DOCUMENT} bytes")
        text.append(line)
    whole = "".join(text)
    try:
        return reconciliation_pages.read(lines.name, whole, lines.digest.hex())
    except RecursionError:
        raise ExportError(lines.name, "", "", "is nested too deeply") from None


def _keep(
    found: BilledRequest | BilledSum | None,
    requests: dict[str, BilledRequest],
    sums: list[BilledSum],
) -> None:
    if isinstance(found, BilledSum):
        sums.append(found)
    elif found is not None:
        known = requests.setdefault(found.request_id, found)
        if known is not found:
            raise _twice(found, known)


def _twice(request: BilledRequest, known: BilledRequest) -> ExportError:
    return ExportError(
        request.source,
        at_line(request.line),
        "request id",
        f"{request.request_id!r} was billed in {known.source}:{known.line} already; the same"
        " request cannot count twice",
    )


def _export(
    lines: _Lines,
    table: reconciliation_tables.Table,
    requests: dict[str, BilledRequest],
    sums: list[BilledSum],
) -> Export:
    return Export(
        format=table.format,
        provider=table.provider,
        names=[lines.name],
        digest=lines.digest.hex(),
        requests=requests,
        sums=sums,
    )


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _whole_document(lines: _Lines, line: str) -> object:
    """What the first line is by itself; None where it is only the beginning of a document."""
    try:
        return _parsed(line)
    except json.JSONDecodeError:
        return None
    except ValueError as error:
        raise lines.error("", str(error)) from None
    except RecursionError:
        raise lines.error("", "is nested too deeply") from None


def _document(lines: _Lines, line: str) -> object:
    try:
        return _parsed(line)
    except json.JSONDecodeError as error:
        raise lines.error("", f"is not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:
        raise lines.error("", str(error)) from None
    except RecursionError:
        raise lines.error("", "is nested too deeply") from None


def _parsed(line: str) -> object:
    return json.loads(line, parse_float=Decimal, object_pairs_hook=_no_duplicates)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} stands in one object twice")
    return found

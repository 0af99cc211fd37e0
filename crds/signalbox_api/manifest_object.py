"""One object as plain data to a typed resource, or to what is wrong with it. Used by `load`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from signalbox_api.base import API_VERSION, GROUP, Resource
from signalbox_api.kinds import FLEET, KINDS
from signalbox_api.problems import Problem, closest, sentences, spelt
from signalbox_api.yaml_document import Document, Path


@dataclass(frozen=True, slots=True)
class Item:
    """One object as plain data, with the place of each part."""

    data: Mapping[str, Any]
    document: Document
    prefix: Path
    file: str
    namespace: str

    def problem(self, path: Path, message: str, fix: str) -> Problem:
        """Something wrong at a path of this object."""
        metadata = self.data.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        return Problem(
            file=self.file,
            line=self.document.line_of(self.prefix + path),
            kind=_word(self.data.get("kind")),
            namespace=_word(metadata.get("namespace")) or self.namespace,
            name=_word(metadata.get("name")),
            path=spelt(path),
            message=message,
            fix=fix,
        )


def envelope_problems(item: Item) -> Iterator[Problem]:
    """What is wrong with apiVersion and kind."""
    version, kind = item.data.get("apiVersion"), item.data.get("kind")
    if version is None:
        yield item.problem(("apiVersion",), "is missing", f"write apiVersion: {API_VERSION}")
    elif version != API_VERSION:
        yield item.problem(
            ("apiVersion",), f"{_word(version)!r} is not served", f"write {API_VERSION}"
        )
    if kind is None:
        yield item.problem(("kind",), "is missing", f"write one of {', '.join(KINDS)}")
    elif kind == FLEET.name:
        fix = "remove it: the operator writes it, and nothing of it is read from here"
        yield item.problem(("kind",), f"{kind!r} is not written by people", fix)
    elif not isinstance(kind, str) or kind not in KINDS:
        meant = closest(_word(kind), tuple(KINDS))
        fix = f"write {meant}" if meant else f"write one of {', '.join(KINDS)}"
        yield item.problem(("kind",), f"{_word(kind)!r} is not a kind of {GROUP}", fix)


def empty_fields(item: Item) -> Iterator[Problem]:
    """Fields of the spec that are written without a value."""
    pending: list[tuple[Path, Any]] = [(("spec",), item.data.get("spec", {}))]
    while pending:
        path, value = pending.pop()
        if value is None:
            yield item.problem(path, "is empty", "give it a value, or remove the line")
        elif isinstance(value, dict):
            pending += [((*path, key), value[key]) for key in reversed(value)]
        elif isinstance(value, list):
            pending += [((*path, index), part) for index, part in enumerate(value)]


def validated(item: Item, *, status: bool) -> Resource | tuple[Problem, ...]:
    """The object as its type, or every reason why it is none; apiVersion and kind are known."""
    kind = KINDS[item.data["kind"]]
    data = dict(item.data)
    written = data.pop("status", None)
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        data["metadata"] = {"namespace": item.namespace} | metadata
    if status and isinstance(written, dict):
        try:
            data["status"] = kind.status.model_validate(written, by_alias=True, by_name=False)
        except ValidationError:
            data.pop("status", None)
    try:
        return kind.resource.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        return tuple(
            item.problem(sentence.path, sentence.message, sentence.fix)
            for sentence in sentences(kind.name, error)
        )


def _word(value: object) -> str:
    return value[:253] if isinstance(value, str) else ""

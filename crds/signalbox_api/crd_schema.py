"""From pydantic's JSON schema to the structural OpenAPI schema that a CRD needs.

Stands between the types and `crd`, which wraps the result. What Kubernetes forbids (references,
unions, titles, closed objects) is rewritten or dropped; anything not foreseen here is an error, so
that no constraint is ever lost in silence.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "examples", "propertyNames", "uniqueItems", "$defs"})
_COPIED: Final = frozenset(
    {
        "type",
        "format",
        "description",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "x-kubernetes-int-or-string",
        "x-kubernetes-validations",
    }
)


class SchemaError(Exception):
    """A type uses something that a CRD cannot express; names the place."""


def structural(part: type[BaseModel], *, defaults: bool) -> _Schema:
    """The structural schema of a type, in YAML spelling.

    `defaults` keeps the defaults, which the API server then persists; a status has none. Raises
    SchemaError when the type cannot be expressed.
    """
    source = part.model_json_schema(by_alias=True, mode="validation")
    return _Converter(source.get("$defs", {}), defaults).convert(source, part.__name__)


class _Converter:
    """Walks one schema with its definitions."""

    def __init__(self, definitions: Mapping[str, _Schema], defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, source: _Schema, path: str) -> _Schema:
        source = self._inlined(source, path)
        result: _Schema = {}
        for word, value in source.items():
            if word in _COPIED:
                result[word] = value
            elif word not in _DROPPED:
                self._special(result, word, value, path)
        if "description" in result:
            result["description"] = " ".join(result["description"].split())
        if result.get("type") == "integer":
            result["format"] = "int64"
        if result.get("type") == "array":
            result |= _list_type(result["items"], self._defaults)
        if result.get("type") == "object" and "properties" in result:
            result["required"] = sorted(result.get("required", ()))
            if not result["required"]:
                del result["required"]
        return dict(sorted(result.items()))

    def _special(self, result: _Schema, word: str, value: Any, path: str) -> None:
        match word:
            case "properties":
                result[word] = {
                    name: self.convert(item, f"{path}.{name}") for name, item in value.items()
                }
            case "items":
                result[word] = self.convert(value, f"{path}[]")
            case "patternProperties":
                (only,) = value.values()
                result["additionalProperties"] = self.convert(only, f"{path}.*")
            case "additionalProperties" if value is False:
                return  # the API server prunes unknown fields; "closed" would be refused
            case "additionalProperties":
                result[word] = self.convert(value, f"{path}.*")
            case "const":
                result["enum"] = [value]
            case "default":
                if self._defaults and value not in (None, [], {}):
                    result[word] = value
            case _:
                raise SchemaError(f"{path}: a CRD cannot say {word}")

    def _inlined(self, source: _Schema, path: str) -> _Schema:
        """Replaces a reference by what it names, and `T or null` by T; words beside it win."""
        if "$ref" in source:
            beside = {word: value for word, value in source.items() if word != "$ref"}
            target = self._definitions[source["$ref"].removeprefix("#/$defs/")]
            return self._inlined(target, path) | beside
        if "anyOf" in source:
            beside = {word: value for word, value in source.items() if word != "anyOf"}
            choices = [choice for choice in source["anyOf"] if choice != {"type": "null"}]
            if len(choices) != 1:
                raise SchemaError(f"{path}: a CRD cannot express a union of types")
            return self._inlined(choices[0], path) | beside
        return source


def _list_type(items: _Schema, wanted: bool) -> _Schema:
    """Lists of objects are maps by name (conditions by type), lists of words are sets.

    Objects without either are a list in which the order counts. In a status lists of words are
    atomic: whoever writes a status replaces them whole.
    """
    if items.get("type") == "object":
        key = next((each for each in ("name", "type") if each in items["properties"]), None)
        if key is None:
            return {"x-kubernetes-list-type": "atomic"}
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return {"x-kubernetes-list-type": "set" if wanted else "atomic"}

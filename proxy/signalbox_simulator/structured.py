"""Make a JSON document that satisfies a JSON Schema, as structured output would be."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import cast

from .patterns import matching
from .refusals import Refusal

MAX_REFERENCES = 12
MAX_VALUES = 2000
WORDS = (
    "amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "harbor", "inlet", "juniper",
    "kestrel", "lagoon", "meadow", "nectar", "orchard", "prairie", "quartz", "ridge", "summit",
)  # fmt: skip
FORMATS = {
    "date-time": "2026-03-14T09:26:53Z",
    "date": "2026-03-14",
    "time": "09:26:53Z",
    "duration": "PT15M",
    "email": "avery@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "uri": "https://example.com/item",
}

Schema = dict[str, object]


def unsupported(what: str) -> Refusal:
    """Give the error for a schema that cannot be followed."""
    return Refusal(400, f"Invalid schema: {what}.", param="schema", code="invalid_json_schema")


@dataclass
class Generator:
    """Generates one document; ``chance`` makes it repeatable."""

    root: Schema
    chance: random.Random
    values: int = field(default=0)

    def document(self) -> object:
        """Give a document that satisfies the root schema; raises Refusal where none can be made."""
        return self._value(self.root, 0)

    def _value(self, schema: object, references: int) -> object:
        self.values += 1
        if self.values > MAX_VALUES:
            raise unsupported(f"its smallest document has more than {MAX_VALUES} values")
        if schema is True or schema == {}:
            return self._words(2)
        if not isinstance(schema, dict):
            raise unsupported("a schema must be an object")
        return self._described(cast("Schema", schema), references)

    def _described(self, schema: Schema, references: int) -> object:
        if "$ref" in schema:
            if references >= MAX_REFERENCES:
                raise unsupported("references recurse without an end")
            return self._value(self._resolve(schema["$ref"]), references + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.chance.choice(self._list(schema, "enum"))
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return self._alternative(self._list(schema, word), references)
        if "allOf" in schema:
            return self._value(self._merged(schema), references)
        return self._typed(schema, references)

    def _typed(self, schema: Schema, references: int) -> object:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            named = [k for k in kind if k != "null"]
            kind = named[0] if named and references < MAX_REFERENCES else "null"
        if kind == "object":
            return self._object(schema, references)
        if kind == "array":
            return self._array(schema, references)
        if kind in ("integer", "number"):
            return self._number(schema)
        if kind == "boolean":
            return self.chance.random() < 0.5
        if kind == "null":
            return None
        if kind == "string":
            return self._string(schema)
        raise unsupported(f"type {kind!r} is not known")

    def _alternative(self, options: list[object], references: int) -> object:
        """Take an alternative by chance; deep inside, the first that ends."""
        first = self.chance.randrange(len(options)) if references < 3 else 0
        ordered = options[first:] + options[:first]
        if references >= 3:
            ordered.sort(key=lambda option: "$ref" in str(option))
        refusal = unsupported("no alternative can be satisfied")
        for option in ordered:
            try:
                return self._value(option, references)
            except Refusal as error:
                refusal = error
        raise refusal

    def _merged(self, schema: Schema) -> Schema:
        merged: Schema = {k: v for k, v in schema.items() if k != "allOf"}
        for part in self._list(schema, "allOf"):
            resolved = part
            while isinstance(resolved, dict) and "$ref" in resolved:
                resolved = self._resolve(resolved["$ref"])
            for key, value in cast("Schema", resolved).items():
                known = merged.get(key)
                if isinstance(known, dict) and isinstance(value, dict):
                    merged[key] = {**known, **value}
                elif isinstance(known, list) and isinstance(value, list):
                    merged[key] = [*known, *value]
                else:
                    merged[key] = value
        return merged

    def _object(self, schema: Schema, references: int) -> dict[str, object]:
        properties = cast("dict[str, object]", schema.get("properties") or {})
        required = cast("list[str]", schema.get("required") or [])
        wanted = [name for name in properties if name in required or references < 2]
        wanted += [name for name in required if name not in properties]
        made = {}
        for name in wanted:
            try:
                made[name] = self._value(properties.get(name, True), references)
            except Refusal:
                if name in required:
                    raise
        extra = schema.get("additionalProperties", True)
        for number in range(self._integer(schema, "minProperties", 0) - len(made)):
            made[f"key_{number}"] = self._value(extra, references)
        return made

    def _array(self, schema: Schema, references: int) -> list[object]:
        first = cast("list[object]", schema.get("prefixItems") or [])
        least = self._integer(schema, "minItems", 0)
        most = self._integer(schema, "maxItems", max(least, 3))
        wanted = max(least, min(most, 2 if references < 2 else 0))
        if schema.get("items") is False:
            wanted = min(len(first), most)
        items: list[object] = []
        attempts = 0
        while len(items) < wanted:
            index = len(items)
            item = first[index] if index < len(first) else schema.get("items", True)
            value = self._value(item, references)
            attempts += 1
            if not (schema.get("uniqueItems") and value in items):
                items.append(value)
            elif attempts > 100:
                raise unsupported("the array has too few different items")
        return items

    def _number(self, schema: Schema) -> int | float:
        whole = schema.get("type") == "integer" or isinstance(schema.get("type"), list)
        step = cast("float", schema.get("multipleOf", 1 if whole else 0.5))
        low = cast("float | None", schema.get("minimum", schema.get("exclusiveMinimum")))
        high = cast("float | None", schema.get("maximum", schema.get("exclusiveMaximum")))
        low = low if low is not None else (high - 100 * step if high is not None else 1)
        high = high if high is not None else low + 100 * step
        first = -(-low // step)
        last = high // step
        first += first * step <= low and "exclusiveMinimum" in schema
        last -= last * step >= high and "exclusiveMaximum" in schema
        if first > last:
            if whole or step != 0.5:
                raise unsupported("no number lies within its bounds")
            return (low + high) / 2
        value = step * self.chance.randint(int(first), int(last))
        return int(value) if whole else value

    def _string(self, schema: Schema) -> str:
        least = self._integer(schema, "minLength", 0)
        most = self._integer(schema, "maxLength", MAX_VALUES)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            return matching(pattern, self.chance, least, most)
        text = FORMATS.get(str(schema.get("format", ""))) or self._words(3)
        while len(text) < least:
            text += " " + self._words(1)
        return text[: max(most, least)]

    def _words(self, count: int) -> str:
        return " ".join(self.chance.choice(WORDS) for _ in range(count))

    def _integer(self, schema: Schema, name: str, default: int) -> int:
        value = schema.get(name, default)
        if not isinstance(value, int) or not 0 <= value <= MAX_VALUES:
            raise unsupported(f"{name} must be an integer from 0 to {MAX_VALUES}")
        return value

    def _list(self, schema: Schema, name: str) -> list[object]:
        value = schema[name]
        if not isinstance(value, list) or not value:
            raise unsupported(f"{name} must be a list with at least one entry")
        return cast("list[object]", value)

    def _resolve(self, reference: object) -> object:
        target: object = self.root
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise unsupported(f"reference {reference!r} must start with '#'")
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise unsupported(f"reference {reference!r} leads nowhere")
            target = target[name]
        return target


def satisfy(schema: Schema, seed: bytes) -> object:
    """Make a document for a schema, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    try:
        return Generator(schema, chance).document()
    except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError) as error:
        raise unsupported(f"it cannot be read ({error})") from None

"""Field tables: every field that a surface knows, what it does to the bill, and its type.

One table per surface decides both what is refused (`no_bound`) and what is malformed
(`invalid_request`), and docs/surfaces.md is tested against it. Types are as strict as the
providers' own and not stricter; a null is read as an absent field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from signalbox_proxy.refusals import Refusal

Use = Literal["neutral", "priced", "governed", "refused"]
"""neutral: cannot change the bill. priced: enters the bound. governed: read, set or removed by
Signalbox. refused: could change the bill, and has no bound yet."""

MAX_INT: Final = 2**31 - 1
"""Largest limit in tokens that is worth a look; no provider takes more."""


@dataclass(frozen=True, slots=True)
class Field:
    """One top-level field. `note` says how it is bounded, or why it is refused and what to do."""

    use: Use
    type: Any
    note: str


MODEL: Final = Field("governed", Annotated[str, msgspec.Meta(min_length=1)], "the lane's own model")
METADATA: Final = Field(
    "governed",
    dict[str, str],
    "keys beginning with signalbox_ or x-signalbox- are taken out, the rest passes",
)


def neutral(kind: Any, note: str) -> Field:
    """A field that cannot change the bill."""
    return Field("neutral", kind, note)


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Base of everything nested: an unknown member is refused, because it could be billed."""


class FieldTable:
    """The fields of one surface, compiled once into a decoder."""

    def __init__(self, name: str, fields: Mapping[str, Field], required: tuple[str, ...]) -> None:
        self.name = name
        self.fields = dict(fields)
        self.required = required
        self._struct = msgspec.defstruct(
            name,
            [
                (key, field.type) if key in required else (key, field.type | None, None)
                for key, field in sorted(fields.items(), key=lambda kv: kv[0] not in required)
                if field.use != "refused"
            ],
        )

    def read(self, body: dict[str, Any]) -> Any:
        """Give the body as a typed object, or raise the refusal that names the field."""
        for key, value in body.items():
            field = self.fields.get(key)
            if field is None:
                raise no_bound(key, "Signalbox does not know this field")
            if field.use == "refused" and value is not None:
                raise no_bound(key, field.note)
        for key in self.required:
            if body.get(key) is None:
                raise invalid(key, f"Missing required field {key!r}. Add it.")
        try:
            return msgspec.convert(body, self._struct)
        except msgspec.ValidationError as error:
            raise _translate(str(error)) from None
        except RecursionError:
            raise invalid("", "The request nests too deeply. Flatten it.") from None


_PAGES: Final = "the pages of a file are not known before the call"
_SERVER_TOOL: Final = "what the provider's own tools read and bill is not known before the call"

KNOWN_KINDS: Final[Mapping[str, str]] = {
    "input_audio": "audio has prices of its own",
    "file": _PAGES,
    "base64": _PAGES,
    "url": _PAGES,
    "container_upload": _PAGES,
    "server_tool_use": _SERVER_TOOL,
    "web_search_tool_result": _SERVER_TOOL,
    "web_fetch_tool_result": _SERVER_TOOL,
    "code_execution_tool_result": _SERVER_TOOL,
    "bash_code_execution_tool_result": _SERVER_TOOL,
    "text_editor_code_execution_tool_result": _SERVER_TOOL,
    "tool_search_tool_result": _SERVER_TOOL,
    "tool_reference": _SERVER_TOOL,
    "browser_state": _SERVER_TOOL,
    "code_execution_20250825": _SERVER_TOOL,
    "code_execution_20260120": _SERVER_TOOL,
    "input_file": _PAGES,
    "item_reference": "what is stored at the provider is not counted",
    "web_search": "web searches are billed per call",
    "web_search_preview": "web searches are billed per call",
    "file_search": _SERVER_TOOL,
    "code_interpreter": "containers are billed by the hour",
    "image_generation": "images have prices of their own",
    "mcp": "remote tools add input that is not known",
}
"""Kinds of content parts and sources that are refused, and why."""

_AT: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]{0,400})`$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `([^`]{0,400})`")
_MISSING: Final = re.compile(r"^Object missing required field `([^`]{0,400})`")


def _translate(text: str) -> Refusal:
    """Turn msgspec's sentence into a refusal with the path as the SDKs write it."""
    at = _AT.search(text)
    path = at.group(1) if at else ""
    what = text[: at.start()] if at else text
    if unknown := _UNKNOWN.match(what):
        field = _join(path, unknown.group(1))
        return no_bound(field, "Signalbox does not know this field")
    if missing := _MISSING.match(what):
        field = _join(path, missing.group(1))
        return invalid(field, f"Missing required field {field!r}. Add it.")
    if what.startswith("Invalid value ") and path.rpartition(".")[2] == "type":
        kind = what.removeprefix("Invalid value ").strip("'")[:80]
        return no_bound(path, KNOWN_KINDS.get(kind) or f"the type {kind!r} is not known")
    readable = what.replace("`", "").replace(" | null", "").rstrip(".")[:200]
    return invalid(path, f"Invalid value for {path!r}: {readable[0].lower()}{readable[1:]}.")


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def no_bound(field: str, why: str) -> Refusal:
    """The refusal of a field whose bill has no bound; `why` is a clause without a full stop."""
    what = field[:200].removesuffix(".type")
    return Refusal(
        "no_bound",
        f"{what!r} leaves the cost of this request without a bound: {why}. Leave it out.",
        field[:200],
    )


def invalid(field: str, message: str) -> Refusal:
    """The refusal of a field that every provider would refuse."""
    return Refusal("invalid_request", message[:600], field[:200])

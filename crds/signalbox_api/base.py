"""What all kinds have in common: spelling, strictness, metadata, references, validation rules.

Types are frozen and refuse unknown fields. YAML spells fields in camelCase, Python in snake_case.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from signalbox_api.scalars import LABEL_PATTERN, Instant, Label

GROUP: Final = "signalbox.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
DEFAULT_NAMESPACE: Final = "default"

_LABEL: Final = re.compile(LABEL_PATTERN, flags=re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule that the API server evaluates on the object that declares it.

    `message` says what to write instead. A rule that mentions `oldSelf` holds between versions.
    The pydantic validators of the same class say the same, save for rules between versions.
    """

    cel: str
    message: str


class Part(BaseModel):
    """A piece of a spec: frozen, unknown fields refused, camelCase in YAML."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [
                {"rule": rule.cel, "message": rule.message} for rule in cls.rules
            ]
        return schema


class StatusPart(Part):
    """A piece of a status: fields of later versions are dropped, so that older code reads on."""

    model_config = ConfigDict(extra="ignore")


class ResourceKey(NamedTuple):
    """Identity of an object. Sorts by kind, then namespace, then name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def resolve_ref(kind: str, ref: str, namespace: str) -> ResourceKey:
    """The object that a reference names, read in `namespace`.

    A reference is `name` (same namespace) or `namespace/name`; nothing is searched.
    """
    before, slash, after = ref.partition("/")
    return ResourceKey(kind, before, after) if slash else ResourceKey(kind, namespace, before)


_MetaText = Annotated[str, StringConstraints(max_length=262_144)]
_MetaMap = Annotated[dict[_MetaText, _MetaText], Field(max_length=1024)]


class ObjectMeta(BaseModel):
    """The parts of Kubernetes metadata that Signalbox reads; all others are tolerated."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    namespace: Label = DEFAULT_NAMESPACE
    uid: Annotated[str, StringConstraints(max_length=128)] | None = None
    generation: Annotated[int, Field(ge=0, strict=True)] | None = None
    resource_version: Annotated[str, StringConstraints(max_length=128)] | None = None
    labels: _MetaMap = Field(default_factory=dict)
    annotations: _MetaMap = Field(default_factory=dict)
    creation_timestamp: Instant | None = None
    deletion_timestamp: Instant | None = None


class Resource(BaseModel):
    """An object as people write it and the API server stores it. Each kind adds spec and status."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    name_rule: ClassVar[Rule] = Rule(
        f"self.metadata.name.matches('{LABEL_PATTERN}')",
        "metadata.name must be a DNS label; write at most 63 lower-case letters, digits and '-'",
    )

    api_version: Literal["signalbox.dev/v1alpha1"] = "signalbox.dev/v1alpha1"
    kind: str
    metadata: ObjectMeta

    @model_validator(mode="after")
    def _named_well(self) -> Self:
        if not self._name_fits(self.metadata.name):
            raise ValueError(self.name_rule.message)
        return self

    @staticmethod
    def _name_fits(name: str) -> bool:
        return _LABEL.fullmatch(name) is not None

    @property
    def key(self) -> ResourceKey:
        """Kind, namespace and name."""
        return ResourceKey(self.kind, self.metadata.namespace, self.metadata.name)

    def ref(self, kind: str, reference: str) -> ResourceKey:
        """The object of `kind` that a reference written in this object names."""
        return resolve_ref(kind, reference, self.metadata.namespace)

    def manifest(self) -> dict[str, Any]:
        """The object as JSON-compatible data in YAML spelling, without absent fields."""
        written = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        return {"apiVersion": self.api_version, "kind": self.kind} | written

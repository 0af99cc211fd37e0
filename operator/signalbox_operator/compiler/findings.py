"""What is wrong with an object, or noteworthy: object, field, reason, message, fix.

Values only. `Case` collects the findings of one object while it is being built.
"""

from dataclasses import dataclass
from typing import Final, Literal

from signalbox_api import ResourceKey
from signalbox_api.conditions import Reason

Severity = Literal["error", "warning", "info"]

_KEPT: Final = frozenset({Reason.NO_PRICE, Reason.CONFLICT, Reason.UNSUPPORTED_BY_FLEET})
"""Errors with which the written form still acts: what they speak of is refused at the request."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know about one object.

    `error`: the object is not in force as written. `warning`: it is, but hardly as meant. `info`:
    it is, and may well be meant so. `field` is the path in YAML spelling, `fix` what to do.
    """

    kind: str
    namespace: str
    name: str
    field: str
    severity: Severity
    reason: Reason
    message: str
    fix: str

    @property
    def key(self) -> ResourceKey:
        """The object that it is about."""
        return ResourceKey(self.kind, self.namespace, self.name)

    @property
    def refuses(self) -> bool:
        """Whether the form that it is about cannot act, so that the one before stays in force."""
        return self.severity == "error" and self.reason not in _KEPT

    @property
    def text(self) -> str:
        """Field, message and fix as one sentence for people."""
        return f"{self.field}: {self.message}. {self.fix}."

    def __str__(self) -> str:
        return f"{self.severity}: {self.key} {self.text} [{self.reason}]"


def order(finding: Finding) -> tuple[str, ...]:
    """Sort key: by object, then by field."""
    return (
        finding.kind,
        finding.namespace,
        finding.name,
        finding.field,
        finding.reason,
        finding.message,
    )


class Case:
    """The findings of one form of one object, as they come up."""

    __slots__ = ("findings", "key")

    def __init__(self, key: ResourceKey) -> None:
        self.key = key
        self.findings: list[Finding] = []

    @property
    def id(self) -> str:
        """The object as namespace/name."""
        return f"{self.key.namespace}/{self.key.name}"

    def error(self, field: str, reason: Reason, message: str, fix: str) -> None:
        """The object cannot be in force as written."""
        self.findings.append(Finding(*self.key, field, "error", reason, message, fix))

    def warn(self, field: str, reason: Reason, message: str, fix: str) -> None:
        """The object is in force, but something about it is hardly meant."""
        self.findings.append(Finding(*self.key, field, "warning", reason, message, fix))

    def inform(self, field: str, reason: Reason, message: str, fix: str) -> None:
        """The object is in force, and what is said about it may well be meant."""
        self.findings.append(Finding(*self.key, field, "info", reason, message, fix))

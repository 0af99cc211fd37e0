"""What a client says about its request, in headers or in OpenAI `metadata`.

All of it is optional where the agent has defaults, none of it is trusted: it can raise a class,
name a task, choose an account of the client's own agent, and nothing else. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES, Sensitivity

PREFIX = "x-signalbox-"
MAX_VALUE_LENGTH = 256
"""Longest name of a user, session, task or workload, in characters."""

MAX_DATA_ASSETS = 32

KNOWN = frozenset(
    {
        "cost-comment",
        "data-assets",
        "pin",
        "sensitivity",
        "session",
        "task",
        "user",
        "workload",
    }
)
"""Names behind the prefix. A header that is none of these is a slip of the pen, which must not
leave a class unstated or a lock unset."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """What one request said; "" and () where it said nothing."""

    user: str
    session: str
    task: str
    workload: str
    sensitivity: Sensitivity | None
    data_assets: tuple[str, ...]
    pin: bool


NOTHING = Declarations("", "", "", "", None, (), False)


def read_declarations(
    headers: Mapping[str, str], metadata: Mapping[str, str], body_user: str
) -> Declarations:
    """Read what a request declares.

    `headers` holds only the `x-signalbox-*` headers, names in lower case. A header wins over the
    same name in `metadata`, except that the higher sensitivity counts and data assets add up.
    `body_user` is `user`, `safety_identifier` or `metadata.user_id` of the body. Raises
    `Refusal("invalid_request")` naming the field.
    """
    if not headers and not metadata:
        if not body_user:
            return NOTHING
        return Declarations(_bounded("user", body_user), "", "", "", None, (), False)

    for field in headers:
        if field.removeprefix(PREFIX) not in KNOWN:
            raise Refusal(
                "invalid_request",
                f"The header {field[:64]} is not known. Known are: "
                f"{', '.join(PREFIX + name for name in sorted(KNOWN))}.",
                field[:64],
            )

    def value(name: str) -> str:
        field = PREFIX + name
        return _bounded(field, headers.get(field) or metadata.get(field) or "")

    return Declarations(
        user=value("user") or _bounded("user", body_user),
        session=value("session"),
        task=value("task"),
        workload=value("workload"),
        sensitivity=_sensitivity(headers, metadata),
        data_assets=_data_assets(headers, metadata),
        pin=_flag(value("pin")),
    )


def _bounded(field: str, value: str) -> str:
    value = value.strip()
    if len(value) > MAX_VALUE_LENGTH:
        raise Refusal(
            "invalid_request",
            f"{field} is longer than {MAX_VALUE_LENGTH} characters. Send a shorter name.",
            field,
        )
    if not value.isprintable():
        raise Refusal(
            "invalid_request",
            f"{field} contains control characters. Send printable characters only.",
            field,
        )
    return value


def _sensitivity(headers: Mapping[str, str], metadata: Mapping[str, str]) -> Sensitivity | None:
    field = PREFIX + "sensitivity"
    stated: Sensitivity | None = None
    for source in (headers, metadata):
        name = source.get(field, "").strip().lower()
        if not name:
            continue
        if name not in SENSITIVITY_NAMES:
            raise Refusal(
                "invalid_request",
                f"{field} must be one of {', '.join(SENSITIVITY_NAMES)}.",
                field,
            )
        level = cast("Sensitivity", SENSITIVITY_NAMES.index(name))
        stated = level if stated is None else max(stated, level)
    return stated


def _data_assets(headers: Mapping[str, str], metadata: Mapping[str, str]) -> tuple[str, ...]:
    field = PREFIX + "data-assets"
    names: dict[str, None] = {}
    for source in (headers, metadata):
        for part in source.get(field, "").split(","):
            name = _bounded(field, part)
            if name:
                names[name] = None
    if len(names) > MAX_DATA_ASSETS:
        raise Refusal(
            "invalid_request",
            f"{field} names more than {MAX_DATA_ASSETS} data assets. Send the ones that count.",
            field,
        )
    return tuple(names)


def _flag(value: str) -> bool:
    if value.lower() in ("", "false", "0"):
        return False
    if value.lower() in ("true", "1"):
        return True
    raise Refusal("invalid_request", f"{PREFIX}pin must be true or false.", PREFIX + "pin")

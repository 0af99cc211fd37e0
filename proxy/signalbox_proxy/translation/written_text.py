"""How much of a written body its provider tokenizes, which bounds what the provider may bill.

A translation may hold more text than the client's body: results of tools as JSON, arguments whose
numbers are rendered anew, names that are repeated, ids made from others. So what is written is
measured itself, and never what a format is believed to add.
"""

from typing import Any

import msgspec

from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.surfaces.texts import Texts


class Wording(msgspec.Struct, frozen=True):
    """Names of members in a provider's format that do not hold text as it stands.

    `json` hold JSON values, or the text of one, which a template may render in any form. `base64`
    hold encoded text. `apart` (also types of blocks) hold what is no text: images, which the
    Model's figure bounds, and settings. Members that are not named here count as text.
    """

    json: frozenset[str]
    apart: frozenset[str]
    base64: frozenset[str] = frozenset()


_LABELS = frozenset({"type", "role"})


def text_bytes(written: dict[str, Any], wording: Wording) -> int:
    """Most tokens of all text in a body, without what the provider's template adds.

    See `Texts` for how text and JSON count.
    """
    texts = Texts()
    _count(texts, written, wording)
    return texts.bytes


def _count(texts: Texts, value: object, wording: Wording) -> None:
    if isinstance(value, str):
        texts.add(value)
    elif isinstance(value, list):
        for entry in value:
            _count(texts, entry, wording)
    elif isinstance(value, dict) and value.get("type") not in wording.apart:
        for name, member in value.items():
            if name in wording.json:
                texts.add_json(_value(member))
            elif name in wording.base64:
                texts.bytes += len(member) * 3 // 4
            elif name not in wording.apart and name not in _LABELS:
                _count(texts, member, wording)


def _value(member: Any) -> dict[str, Any] | list[Any] | None:
    """A JSON value; Converse takes a schema as the text of one."""
    return decode_body(member.encode(), "", "") if isinstance(member, str) else member

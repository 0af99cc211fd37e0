"""The arguments of tool calls as providers send them in whole: JSON objects inside the answer."""

import msgspec

from signalbox_proxy.translation.contract import Unreadable


def object_text(raw: msgspec.Raw) -> str:
    """A call's arguments as they came: no number loses a digit.

    Raises `Unreadable` for what is no object, or not UTF-8: the decoder does not look inside.
    """
    data = bytes(raw).strip()
    if not data.startswith(b"{"):
        raise Unreadable("the arguments of a tool call are not a JSON object")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Unreadable("the arguments of a tool call are not UTF-8") from None

"""Cache points for a conversation whose client set none: behind what the next request repeats."""

import msgspec

from signalbox_proxy.translation.conversation import Conversation, Document, Part, Turn


def with_cache_points(conversation: Conversation) -> Conversation:
    """Points of five minutes behind the tools, the system prompt and the last document."""
    tools, system = conversation.tools, conversation.system
    if tools:
        tools = (*tools[:-1], msgspec.structs.replace(tools[-1], cache="5m"))
    for index in reversed(range(len(system))):
        if system[index].text.strip():
            marked = msgspec.structs.replace(system[index], cache="5m")
            system = (*system[:index], marked, *system[index + 1 :])
            break
    turns = _with_point_behind_documents(conversation.turns)
    return msgspec.structs.replace(conversation, tools=tools, system=system, turns=turns)


def _with_point_behind_documents(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    for index in reversed(range(len(turns))):
        parts: tuple[Part, ...] = turns[index].parts
        for at in reversed(range(len(parts))):
            part = parts[at]
            if isinstance(part, Document):
                marked = msgspec.structs.replace(part, cache="5m")
                turn = Turn(turns[index].role, (*parts[:at], marked, *parts[at + 1 :]))
                return (*turns[:index], turn, *turns[index + 1 :])
    return turns

"""Anthropic's messages as a format in which clients ask, whatever their lane speaks."""

from typing import Any

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces.messages_types import MESSAGES as TABLE
from signalbox_proxy.translation import anthropic_settings as settings
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.anthropic_messages import write_message
from signalbox_proxy.translation.anthropic_reading import ConversationReading
from signalbox_proxy.translation.anthropic_stream import MessageEventWriter
from signalbox_proxy.translation.contract import EventWriter, Untranslatable
from signalbox_proxy.translation.conversation import Conversation


class AnthropicClient:
    """The format object; see `contract.ClientFormat`."""

    def read(self, body: dict[str, Any]) -> Conversation:
        """The neutral form of a body that the surface has accepted."""
        asked = TABLE.read(body)
        if asked.max_tokens == 0:
            raise Untranslatable("max_tokens", "0 warms Anthropic's own cache")
        content = ConversationReading(asked)
        choice, parallel = settings.read_tool_choice(asked)
        return Conversation(
            system=tuple(content.system),
            turns=content.turns,
            tools=settings.read_tools(asked),
            tool_choice=choice,
            parallel_tools=parallel,
            output=settings.read_output(asked),
            reasoning=settings.read_reasoning(asked),
            sampling=settings.read_sampling(asked),
            stop=tuple(asked.stop_sequences or ()),
            user=(asked.metadata.user_id or "") if asked.metadata else "",
        )

    def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
        """A whole answer, as a Message."""
        return write_message(request, answer, answer_id)

    def event_writer(self, request: ModelRequest, answer_id: str) -> EventWriter:
        """A writer for one stream, from `message_start` to `message_stop`."""
        return MessageEventWriter(request, answer_id)


ANTHROPIC_CLIENT = AnthropicClient()

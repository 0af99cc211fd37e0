"""Responses that the provider stores, by account and id, as far as what was said and answered.

As OpenAI documents it: a response is stored unless ``store`` is false, and what continues it has
all that was said before as its input, billed as input, without the instructions of before.
https://developers.openai.com/api/docs/guides/conversation-state
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from .composition import Choice
from .refusals import Refusal
from .responses_request import (
    AnsweredMessage,
    CustomCallItem,
    FunctionCallItem,
    Item,
    ReasoningItem,
    ResponsesRequest,
)
from .sealed_reasoning import sealed

MAX_BYTES = 256 * 2**20
"""Text that is kept at most, each response with all before it; the oldest go first."""


@dataclass
class StoredResponses:
    """What is stored, by account and id."""

    _stored: OrderedDict[tuple[str, str], tuple[list[Item], int]] = field(
        default_factory=OrderedDict
    )
    _bytes: int = 0

    def keep(self, account: str, identity: str, said: list[Item]) -> None:
        """Store a response with all that led to it."""
        size = sum(len(item.model_dump_json()) for item in said)
        self._bytes += size - self._stored.pop((account, identity), ([], 0))[1]
        self._stored[account, identity] = (said, size)
        while self._bytes > MAX_BYTES:
            _, (_, dropped) = self._stored.popitem(last=False)
            self._bytes -= dropped

    def continued(self, account: str, request: ResponsesRequest) -> ResponsesRequest:
        """Give the request with all that was said before it; raises Refusal for what is not
        stored, or not for this account."""
        identity = request.previous_response_id
        if identity is None:
            return request
        found = self._stored.get((account, identity))
        if found is None:
            raise Refusal(
                400,
                f"Previous response with id '{identity[:100]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return request.model_copy(update={"input": [*found[0], *request.items]})


def answered(choice: Choice, opened: list[dict[str, object]], account: str) -> list[Item]:
    """Give an answer's parts as items of input; ``opened`` are their heads, with their names."""
    items: list[Item] = []
    for part, head in zip(choice.parts, opened, strict=True):
        said: dict[str, object] = {"id": head["id"], "type": head["type"]}
        if part.kind == "reasoning":
            said |= {"summary": [], "encrypted_content": sealed(part.text, account)}
            items.append(ReasoningItem.model_validate(said))
        elif part.kind == "text":
            said |= {"role": "assistant", "content": part.text}
            items.append(AnsweredMessage.model_validate(said))
        else:
            said |= {"call_id": head["call_id"], "name": head["name"]}
            if "input" in head:
                items.append(CustomCallItem.model_validate(said | {"input": part.text}))
            else:
                items.append(FunctionCallItem.model_validate(said | {"arguments": part.text}))
    return items

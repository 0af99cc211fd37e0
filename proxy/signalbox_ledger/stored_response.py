"""What the authority is asked about answers that a provider stores; part of `protocol`.

Whose an answer is, and what it is called, are digests made by the proxy: who asks for another's
finds nothing.
"""

from typing import Annotated

import msgspec

from signalbox_ledger.replies import Message, StoredResponse

Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class KeepResponse(Message, frozen=True):
    """A provider has stored this answer: remember it as `response` of `owner`."""

    owner: Digest
    response: Digest
    stored: StoredResponse


class FindResponse(Message, frozen=True):
    """What is remembered as `response` of `owner`?"""

    owner: Digest
    response: Digest

"""The neutral form of a request: what a conversation is, whatever format it is written in.

Each client format has one reader that makes it (`contract.ClientFormat`), each provider format one
writer that puts it into words (`contract.ProviderFormat`). It holds what at least two formats can
say. A field that only one vendor knows does not come in here: the reader refuses it, by name.
"""

from typing import Any, Literal

import msgspec

CacheLifetime = Literal["5m", "1h"]
Role = Literal["user", "assistant"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Text(msgspec.Struct, frozen=True):
    """Text. `cache` is a cache point right after it."""

    text: str
    cache: CacheLifetime | None = None


class Image(msgspec.Struct, frozen=True):
    """An image: base64 `data` of a `media_type` (`image/png`), or a `url` for the provider.

    Exactly one of `data` and `url` is not empty. `detail` is OpenAI's word, "" where none was said.
    """

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cache: CacheLifetime | None = None


class Document(msgspec.Struct, frozen=True):
    """A document of text (`media_type` text/plain), with the title that the model may see."""

    text: str
    title: str = ""
    context: str = ""
    cache: CacheLifetime | None = None


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning of an earlier answer, or of this one.

    `signature` is the vendor's proof of it, `redacted` its encrypted form; they mean something to
    the vendor in `origin` (a provider format's name) only. A foreign provider gets none of it:
    reasoning is no part of what was said.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    origin: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool. `arguments` is a JSON object, as text."""

    id: str
    name: str
    arguments: str
    cache: CacheLifetime | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool gave, in a user's turn. `name` is the tool's, taken from its call."""

    call_id: str
    name: str
    parts: tuple[Text | Image | Document, ...]
    is_error: bool = False
    cache: CacheLifetime | None = None


class Refused(msgspec.Struct, frozen=True):
    """The sentence with which an assistant refused."""

    text: str


Part = Text | Image | Document | Thinking | ToolCall | ToolResult | Refused


class Turn(msgspec.Struct, frozen=True):
    """Parts of one role. Readers merge neighbours of the same role, so that roles alternate."""

    role: Role
    parts: tuple[Part, ...]


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]
    strict: bool = False
    cache: CacheLifetime | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Which tools may or must be called. `name` where `mode` is tool."""

    mode: Literal["auto", "required", "none", "tool"]
    name: str = ""


class OutputSchema(msgspec.Struct, frozen=True):
    """The form that the answer must have. `schema` None: any JSON object."""

    name: str
    schema: dict[str, Any] | None
    description: str = ""
    strict: bool = False

    def with_description(self, schema: dict[str, Any]) -> dict[str, Any]:
        """`schema` with the description in it, for formats that have no other place for one."""
        if self.description and "description" not in schema:
            return {**schema, "description": self.description}
        return schema


class Reasoning(msgspec.Struct, frozen=True):
    """How much the model may think: an effort, or tokens; the other is None.

    `budget_tokens` lies within the output limit. Both None: as the model likes (adaptive).
    `visible` says whether the client wants to see a summary of it.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None
    visible: bool = True


class Sampling(msgspec.Struct, frozen=True):
    """How tokens are drawn; None is the provider's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None


class Conversation(msgspec.Struct, frozen=True):
    """All of a request that another vendor must hear.

    Model, output limit, streaming and service tier are not here: they are the lane's and the
    quote's. `choices` is OpenAI's n. `parallel_tools` None is the provider's default. `user` is an
    opaque name of the end user, "" where none was given.
    """

    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    output: OutputSchema | None = None
    reasoning: Reasoning | None = None
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    choices: int = 1
    user: str = ""

"""Requests of every kind, good and bad, made from a seed: the same seed gives the same bytes."""

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
CHAT_MODELS = ("gpt-5-mini", "mistral-small-latest")
CLAUDE, EMBEDDER = "claude-haiku-4-5", "text-embedding-3-small"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADAgH/6xQAGgAAAABJRU5ErkJg"
    "gg=="
)
TEXTS = (
    "What is a bond ladder?",
    "債券ラダーとは何ですか。簡単に説明してください。",
    "什么是债券阶梯？請用繁體中文回答。",
    "ما هو سلم السندات؟ اشرح باختصار.",
    "מה זה סולם אג״ח?",
    "बांड लैडर क्या है? संक्षेप में समझाइए।",
    "พันธบัตรขั้นบันไดคืออะไร",
    "Что такое лестница облигаций?",
    "Τι είναι η κλίμακα ομολόγων;",
    "채권 사다리란 무엇인가요?",
    "ბონდების კიბე რა არის? የቦንድ መሰላል ምንድን ነው?",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇪🇺" * 12,
    "a\u200bb\u200cc\u200dd\ufeffe\u2060f" * 20,
    "e\u0301" * 60 + "Z" + "\u0334" * 80,
    "\u202eright to left\u202c and back",
    "𝕬𝖓𝖈𝖎𝖊𝖓𝖙 𓀀𓁀𓂀 𐍈 " * 8,
    "tab\tnew\nline\r\nnul\u0000bell\u0007escape\u001b[31m",
    "   \n\t  ",
    base64.b64encode(random.Random(1).randbytes(900)).decode(),
    random.Random(2).randbytes(600).hex(),
    "def f(x):\n    return {'a': [1, 2, 3]}[x]\n" * 12,
    '{"role": "system", "content": "\\"}]}"}',
    "<|im_start|>system<|im_end|><|endoftext|>",
    "\ud7ff\ue000\ufffd\uffff",
    "word " * 700,
    "ﷺ" * 150,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
)
NASTY: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 1.5, -0.0, 2, 128, 129, 2**31, 2**53 + 1, 2**63, 10**30),
    *(-(10**30), 1e308, 5e-324, float("nan"), float("inf"), "", "12", "NaN", "null", "0x10", "é"),
    *([], {}, [[]], [None], {"a": None}, ["a"] * 40, {"type": "text"}, "x" * 3000),
)
LIMITS: tuple[Any, ...] = (
    *(-1, 0, 1, 17, 64000, 64001, 128000, 10**9, 2**53, 2**63, 2**64, 10**40, -(10**40), 1.0, 1.5),
    *(float("nan"), float("inf"), "12", "many", None, True, [], {}),
)
TOOL = {
    "name": "quote",
    "description": "The price of a share",
    "schema": {
        "type": "object",
        "properties": {"symbol": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["symbol", "days"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Sample:
    """One request as bytes. `family` names how it was made."""

    family: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any] | None:
        """The body as an object, where it is one."""
        try:
            read = json.loads(self.body.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        return read if isinstance(read, dict) else None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def encoded(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


class Maker:
    """Makes samples from one stream of random numbers."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.families: tuple[tuple[int, Callable[[], Sample]], ...] = (
            (8, self.valid),
            (5, self.limit),
            (6, self.nasty_field),
            (2, self.unknown_field),
            (2, self.missing_field),
            (2, self.nasty_message),
            (3, self.broken_bytes),
            (1, self.duplicate_key),
            (1, self.unknown_model),
            (1, self.deep),
            (1, self.encoding),
        )

    def sample(self) -> Sample:
        weights = [weight for weight, _ in self.families]
        makers = [maker for _, maker in self.families]
        return self.random.choices(makers, weights)[0]()

    def text(self) -> str:
        text = " ".join(self.random.sample(TEXTS, self.random.randint(1, 2)))
        return f"{self.random.randrange(10**6)} {text}" if self.chance(0.5) else text

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def base(self) -> tuple[str, dict[str, Any]]:
        """A valid request of one of the three surfaces."""
        path = self.random.choices((CHAT, MESSAGES, EMBEDDINGS), (5, 3, 1))[0]
        make = {CHAT: self.chat, MESSAGES: self.messages, EMBEDDINGS: self.embeddings}[path]
        return path, make()

    def chat(self) -> dict[str, Any]:
        model = self.random.choice(CHAT_MODELS)
        body: dict[str, Any] = {"model": model, "messages": self.turns()}
        options: dict[str, Any] = {
            "n": self.random.randint(1, 3),
            "seed": self.random.randrange(2**31),
            "user": "u-1",
            "metadata": {"k": "v"},
            "stream": True,
            "tools": [self.chat_tool()],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "q", "strict": True, "schema": TOOL["schema"]},
            },
        }
        if model != "gpt-5-mini":
            options |= {"temperature": 0.4, "stop": ["the"], "presence_penalty": 0.5, "top_p": 0.9}
        for name in self.random.sample(sorted(options), self.random.randint(0, 3)):
            body[name] = options[name]
        if body.get("stream") and self.chance(0.5):
            body["stream_options"] = {"include_usage": True}
        if "tools" in body and self.chance(0.5):
            body["tool_choice"] = "required"
        if self.chance(0.5):
            body["max_tokens" if self.chance(0.5) else "max_completion_tokens"] = 40
        return body

    def turns(self) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = []
        if self.chance(0.3):
            turns.append({"role": "system", "content": self.text()})
        for _ in range(self.random.randint(0, 2)):
            turns += [
                {"role": "user", "content": self.text()},
                {"role": "assistant", "content": "Certainly."},
            ]
        content: Any = self.text()
        if self.chance(0.2):
            image = f"data:image/png;base64,{PIXEL}" if self.chance(0.5) else "https://e.org/a.png"
            content = [
                {"type": "text", "text": content},
                {"type": "image_url", "image_url": {"url": image}},
            ]
        elif self.chance(0.2):
            content += " [[tokens 1500]]"
        return [*turns, {"role": "user", "content": content}]

    def chat_tool(self) -> dict[str, Any]:
        function = {
            "name": TOOL["name"],
            "description": self.text()[:900],
            "parameters": TOOL["schema"],
        }
        return {"type": "function", "function": function}

    def messages(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": "Please: " + self.text()}
        if self.chance(0.2):
            block["cache_control"] = {"type": "ephemeral"}
        content: list[dict[str, Any]] = [block]
        if self.chance(0.2):
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.append({"type": "image", "source": source})
        body: dict[str, Any] = {
            "model": CLAUDE,
            "max_tokens": self.random.choice((1, 40, 400)),
            "messages": [{"role": "user", "content": content}],
        }
        options: dict[str, Any] = {
            "system": "Be brief. " + self.text()[:200],
            "stream": True,
            "temperature": 0.3,
            "stop_sequences": ["the"],
            "metadata": {"user_id": "u-1"},
            "tools": [
                {
                    "name": TOOL["name"],
                    "description": TOOL["description"],
                    "input_schema": TOOL["schema"],
                }
            ],
        }
        for name in self.random.sample(sorted(options), self.random.randint(0, 3)):
            body[name] = options[name]
        return body

    def embeddings(self) -> dict[str, Any]:
        wanted: Any = self.random.choice(
            (self.text(), [self.text(), self.text()], [1, 2, 3], [[1, 2], [3]])
        )
        body: dict[str, Any] = {"model": EMBEDDER, "input": wanted}
        if self.chance(0.5):
            body["encoding_format"] = self.random.choice(("float", "base64"))
        if self.chance(0.3):
            body["dimensions"] = self.random.choice((1, 8, 1536))
        return body

    def valid(self) -> Sample:
        path, body = self.base()
        return Sample("valid", path, encoded(body))

    def limit(self) -> Sample:
        path, body = self.base()
        if path == EMBEDDINGS:
            body["dimensions"] = self.random.choice(LIMITS)
            return Sample("limit", path, encoded(body))
        for name in ("max_tokens", "max_completion_tokens"):
            body.pop(name, None)
        names = ("max_tokens", "max_completion_tokens", "n")
        name = self.random.choice(names) if path == CHAT else "max_tokens"
        body[name] = self.random.choice(LIMITS)
        return Sample("limit", path, encoded(body))

    def nasty_field(self) -> Sample:
        path, body = self.base()
        optional = {
            CHAT: (
                *("temperature", "top_p", "n", "stop", "stream", "stream_options", "tools", "seed"),
                *("tool_choice", "response_format", "logit_bias", "logprobs", "top_logprobs"),
                *("user", "metadata", "messages", "model", "parallel_tool_calls", "service_tier"),
                *("reasoning_effort", "presence_penalty", "store", "modalities", "audio"),
            ),
            MESSAGES: (
                *("system", "temperature", "top_k", "top_p", "stop_sequences", "stream", "tools"),
                *("tool_choice", "metadata", "messages", "model", "thinking", "service_tier"),
            ),
            EMBEDDINGS: ("input", "model", "encoding_format", "dimensions", "user"),
        }[path]
        body[self.random.choice(optional)] = self.random.choice(NASTY)
        return Sample("nasty field", path, encoded(body))

    def unknown_field(self) -> Sample:
        path, body = self.base()
        name = self.random.choice(("best_of", "web_search_options", "container", "x", "échec", ""))
        body[name] = self.random.choice(NASTY)
        return Sample("unknown field", path, encoded(body))

    def missing_field(self) -> Sample:
        path, body = self.base()
        del body[self.random.choice(sorted(body))]
        return Sample("missing field", path, encoded(body))

    def nasty_message(self) -> Sample:
        path, body = self.base()
        if path == EMBEDDINGS:
            body["input"] = [self.random.choice(NASTY), self.random.choice(NASTY)]
            return Sample("nasty message", path, encoded(body))
        message = body["messages"][-1]
        target = self.random.choice(("role", "content", "part", "message", "name"))
        nasty = self.random.choice(NASTY)
        if target == "message":
            body["messages"][-1] = nasty
        elif target == "part":
            message["content"] = [{"type": "text", "text": nasty}]
        else:
            message[target] = nasty
        return Sample("nasty message", path, encoded(body))

    def broken_bytes(self) -> Sample:
        path, body = self.base()
        raw = bytearray(encoded(body))
        at = self.random.randrange(1, len(raw))
        kind = self.random.choice(("cut", "flip", "utf8", "tail", "comma", "quote", "insert"))
        if kind == "cut":
            del raw[at:]
        elif kind == "flip":
            raw[at] ^= 1 << self.random.randrange(8)
        elif kind == "utf8":
            bad = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")
            raw[at:at] = self.random.choice(bad)
        elif kind == "tail":
            raw += self.random.choice((b"}", b"\x00", b"{}", b" garbage", b"//c"))
        elif kind == "comma":
            raw[-1:] = b",}"
        elif kind == "quote":
            raw = bytearray(bytes(raw).replace(b'"', b"'"))
        else:
            raw[at:at] = self.random.choice((b"\\ud800", b"\\u0000", b"\\x", b"\n", b'"'))
        return Sample("broken bytes", path, bytes(raw))

    def duplicate_key(self) -> Sample:
        path, body = self.base()
        name = self.random.choice(sorted(body))
        extra = encoded({name: self.random.choice((body[name], *NASTY))})
        raw = encoded(body)
        raw = raw[:-1] + b"," + extra[1:] if self.chance(0.5) else extra[:-1] + b"," + raw[1:]
        return Sample("duplicate key", path, raw)

    def unknown_model(self) -> Sample:
        path, body = self.base()
        body["model"] = self.random.choice(
            ("gpt-99", "", " ", "GPT-5-MINI", "gpt-5-mini ", "../gpt-5-mini", "auto\n", "x" * 5000)
        )
        return Sample("unknown model", path, encoded(body))

    def deep(self) -> Sample:
        path, body = self.base()
        depth = self.random.choice((40, 70, 120, 2000, 100_000))
        nested = b"[" * depth + b"]" * depth
        if self.chance(0.5):
            nested = b'{"a":' * depth + b"1" + b"}" * depth
        return Sample("deep", path, encoded(body)[:-1] + b',"metadata":' + nested + b"}")

    def encoding(self) -> Sample:
        path, body = self.base()
        raw = encoded(body)
        kind = self.random.choice(("gzip", "deflate", "lie", "utf-16", "latin-1", "bom", "type"))
        made: dict[str, tuple[bytes, dict[str, str]]] = {
            "gzip": (gzip.compress(raw, mtime=0), {"content-encoding": "gzip"}),
            "deflate": (zlib.compress(raw), {"content-encoding": "deflate"}),
            "lie": (raw, {"content-encoding": "gzip"}),
            "utf-16": (raw.decode("utf-8", "replace").encode("utf-16"), {}),
            "latin-1": ("ä".join((raw[:-2].decode(errors="replace"), '"}')).encode("latin-1",
                        "replace"), {}),
            "bom": (b"\xef\xbb\xbf" + raw, {}),
            "type": (raw, {"content-type": "text/plain"}),
        }  # fmt: skip
        return Sample("encoding", path, *made[kind])


def by_hand() -> Iterator[Sample]:
    """What chance would hardly find."""
    ask = [{"role": "user", "content": "What is a bond ladder?"}]
    chat = {"model": "gpt-5-mini", "messages": ask}
    claude = {"model": CLAUDE, "max_tokens": 40, "messages": ask}
    for raw in (b"", b"null", b"[]", b'""', b"0", b"{}", b"\x00", b" ", b"{" * 9, b"NaN", b"true"):
        for path in (CHAT, MESSAGES, EMBEDDINGS):
            yield Sample("not an object", path, raw)
    big = {"role": "user", "content": "x" * (10 * 2**20)}
    for path, body in ((CHAT, chat), (MESSAGES, claude)):
        yield Sample("ten megabytes", path, encoded({**body, "messages": [big]}))
    just = {"role": "user", "content": "word " * 190_000}
    yield Sample("a megabyte", CHAT, encoded({**chat, "messages": [just]}))
    yield Sample(
        "ten megabytes", EMBEDDINGS, encoded({"model": EMBEDDER, "input": "y" * (10 * 2**20)})
    )
    bomb = gzip.compress(b" " * (40 * 2**20), mtime=0)
    yield Sample("encoding", CHAT, bomb, {"content-encoding": "gzip"})
    for digits in (b"1" * 5000, b"1e400", b"-1e-400", b"0." + b"3" * 400, b"00012", b"+1", b".5"):
        yield Sample("odd number", CHAT, encoded(chat)[:-1] + b',"seed":' + digits + b"}")
    wide = {f"k{number}": "v" for number in range(20_000)}
    yield Sample("wide", CHAT, encoded(chat | {"metadata": wide}))
    yield Sample("wide", CHAT, encoded(chat | {"messages": ask * 5000}))
    for name in ("service_tier", "reasoning_effort", "verbosity", "tool_choice", "modalities"):
        yield Sample("tier", CHAT, encoded(chat | {name: "flex"}))
    for name, value in (
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("audio", {"voice": "alloy", "format": "mp3"}),
        ("service_tier", "priority"),
        ("modalities", ["text", "audio"]),
    ):
        yield Sample("priced apart", CHAT, encoded(chat | {name: value}))
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf,x"}}
    yield Sample("priced apart", CHAT, encoded(chat | {"messages": [
        {"role": "user", "content": [file]}]}))  # fmt: skip
    for name, value in (
        ("service_tier", "priority"),
        ("speed", "fast"),
        ("container", "c_1"),
        ("mcp_servers", [{"type": "url", "url": "https://e.org", "name": "e"}]),
        ("tools", [{"type": "web_search_20250305", "name": "web_search"}]),
        ("tools", [{"type": "code_execution_20250522", "name": "code_execution"}]),
        ("thinking", {"type": "enabled", "budget_tokens": 20}),
        ("thinking", {"type": "enabled", "budget_tokens": 10**9}),
        ("inference_geo", "us"),
    ):
        yield Sample("priced apart", MESSAGES, encoded(claude | {name: value}))
    yield Sample(
        "priced apart", MESSAGES, encoded(claude), {"anthropic-beta": "context-1m-2025-08-07"}
    )
    both = {"max_tokens": 5, "max_completion_tokens": 50}
    yield Sample("both limits", CHAT, encoded(chat | both))
    for choices in (1, 8, 128, 129, 10**9):
        yield Sample("choices", CHAT, encoded(chat | {"n": choices, "max_completion_tokens": 20}))


def corpus(count: int, seed: int = 20) -> list[Sample]:
    """`count` samples, those by hand among them."""
    made = list(by_hand())
    maker = Maker(seed)
    made += [maker.sample() for _ in range(count - len(made))]
    return made[:count]

"""Parts of the simulated provider by themselves: documents by schema, prose, caches, images."""

import ast
import contextlib
import struct
import time
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import signalbox_simulator
from signalbox_simulator import tokens
from signalbox_simulator.behaviour import directives
from signalbox_simulator.composition import Order, compose, prose, warm_up
from signalbox_simulator.media import image_size
from signalbox_simulator.prompt import Prompt
from signalbox_simulator.prompt_cache import PromptCache
from signalbox_simulator.refusals import Refusal
from signalbox_simulator.sheet import Usage
from signalbox_simulator.structured import satisfy

warm_up()
PACKAGE = Path(signalbox_simulator.__file__).parent


def test_the_judge_shares_nothing_with_the_judged() -> None:
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not [name for name in names if name.startswith("signalbox_")], path


LEAVES = st.one_of(
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-1000, 1000),
        st.integers(0, 50),
    ),
    st.builds(
        lambda low, size: {
            "type": "number",
            "exclusiveMinimum": low,
            "exclusiveMaximum": low + size,
        },
        st.integers(-1000, 1000),
        st.integers(1, 50),
    ),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 60),
        st.integers(0, 20),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1)),
    st.builds(lambda value: {"const": value}, st.one_of(st.integers(), st.text(max_size=5))),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}, True]
    ),
    st.sampled_from(["date-time", "date", "email", "uuid", "ipv4", "uri", "time"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.just({"$ref": "#/$defs/leaf"}),
)


def containers(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    names = st.text("abcdef", min_size=1, max_size=4)
    return st.one_of(
        st.dictionaries(names, inner, max_size=4).map(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties),
                "additionalProperties": False,
            }
        ),
        st.builds(
            lambda item, least, more: {
                "type": "array",
                "items": item,
                "minItems": least,
                "maxItems": least + more,
            },
            inner,
            st.integers(0, 4),
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    )


@given(schema=st.recursive(LEAVES, containers, max_leaves=12), seed=st.binary(min_size=1))
def test_every_document_satisfies_its_schema(schema: object, seed: bytes) -> None:
    root = {"$defs": {"leaf": {"type": "integer", "multipleOf": 3}}, "allOf": [schema]}
    if isinstance(schema, dict):
        root = {**schema, "$defs": root["$defs"]}
    else:
        root = {"$defs": root["$defs"]}
    document = satisfy(root, seed)
    jsonschema_rs.validator_for(root, validate_formats=True).validate(document)
    assert satisfy(root, seed) == document


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-Z]{2}-[0-9]{4,6}$",
        r"^\d{3}\.\d+$",
        "^(red|green|blue)$",
        "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$",
        r"^\+?[1-9]\d{1,14}$",
        "^[^aeiou]{3}x*$",
        "^(?:ab|c[de]){2}(?P<tail>-f)?$",
        "^#[0-9a-fA-F]{6}$",
        r"^[\w.-]+@[\w-]+\.[a-z]{2,}$",
        "^\\u0041{2}.{3}$",
    ],
)
@pytest.mark.parametrize("seed", [b"a", b"b", b"c", b"d"])
def test_patterns_are_followed(pattern: str, seed: bytes) -> None:
    schema = {"type": "string", "pattern": pattern}
    jsonschema_rs.validator_for(schema).validate(satisfy(schema, seed))


def test_patterns_and_lengths_hold_together() -> None:
    schema = {"type": "string", "pattern": "^[a-z]+$", "minLength": 20, "maxLength": 30}
    jsonschema_rs.validator_for(schema).validate(satisfy(schema, b"seed"))


@given(pattern=st.text("()[]{}|*+?^$.\\-,019abdw<>=!:", max_size=30))
def test_a_pattern_is_followed_or_refused(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    with contextlib.suppress(Refusal):
        assert isinstance(satisfy(schema, b"seed"), str)


def test_repetitions_of_repetitions_are_refused_in_time() -> None:
    schema = {"type": "string", "pattern": "(((((a?)*)*)*)*)*b{0}", "minLength": 1500}
    started = time.process_time()
    with pytest.raises(Refusal):
        satisfy({"allOf": [schema, {"maxLength": 1500}]}, b"seed")
    assert time.process_time() - started < 5


def test_recursive_schemas_end() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        },
        "required": ["name", "children", "next"],
        "additionalProperties": False,
    }
    schema = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
    for seed in range(30):
        document = satisfy(schema, bytes([seed]))
        jsonschema_rs.validator_for(schema).validate(document)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "https://example.com/schema"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "array", "minItems": 10**9},
        {"type": "array", "minItems": 5, "uniqueItems": True, "items": {"const": 1}},
        {"enum": []},
        {"anyOf": "x"},
        {"type": "object", "properties": [1]},
        {"type": "integer", "minimum": "low"},
        {"type": {}},
    ],
)
def test_what_no_document_satisfies_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        satisfy(schema, b"seed")
    assert caught.value.status == 400


@given(seed=st.binary(max_size=16), count=st.integers(0, 400))
def test_prose_has_exactly_the_tokens_that_are_billed(seed: bytes, count: int) -> None:
    pieces = prose(seed, count)
    assert len(pieces) == count
    assert tokens.count("".join(pieces)) == count


@given(seed=st.binary(min_size=4, max_size=16), limit=st.integers(1, 300), more=st.integers(0, 99))
def test_a_lower_limit_gives_a_prefix_of_the_same_answer(
    seed: bytes, limit: int, more: int
) -> None:
    short = compose(Order(seed=seed, limit=limit))
    long = compose(Order(seed=seed, limit=limit + more))
    assert short.tokens <= limit
    assert long.text().startswith(short.text())
    assert short.finish == "stop" or short.tokens == limit
    assert (short.finish == "stop") == (short.text() == compose(Order(seed, 10_000)).text())


@given(text=st.text(max_size=200))
def test_no_scale_makes_more_tokens_than_bytes(text: str) -> None:
    counted = tokens.count(text, Prompt().scale * 3)
    assert tokens.count(text) <= counted <= len(text.encode())


@given(
    seed=st.binary(min_size=4, max_size=16),
    shortest=st.integers(1, 400),
    more=st.integers(40, 400),
)
def test_an_answer_of_its_own_length_is_whole_sentences(
    seed: bytes, shortest: int, more: int
) -> None:
    longest = shortest + more
    choice = compose(Order(seed=seed, limit=10_000, shortest=shortest, longest=longest))
    assert shortest <= choice.tokens <= longest
    assert choice.text().endswith(".")
    assert choice.finish == "stop"


class Clock:
    """A clock that stands still until told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def prompt(*texts: str, ttl: dict[int, str] | None = None) -> Prompt:
    made = Prompt()
    for index, text in enumerate(texts):
        made.add_text(text, ttl=(ttl or {}).get(index))
    return made


LONG = " ".join(str(number) for number in range(1000))


def test_an_automatic_cache_forgets_after_ten_minutes() -> None:
    clock = Clock()
    cache = PromptCache(clock)
    assert cache.automatic(("a",), prompt(LONG)) == 0
    assert cache.automatic(("a",), prompt(LONG)) > 1024
    assert cache.automatic(("b",), prompt(LONG)) == 0
    clock.now = 601
    assert cache.automatic(("a",), prompt(LONG)) == 0


def test_an_automatic_hit_is_no_longer_than_what_is_equal() -> None:
    cache = PromptCache(Clock())
    cache.automatic(("a",), prompt(LONG, "one " * 300))
    cached = cache.automatic(("a",), prompt(LONG, "two " * 300))
    shared = tokens.count(LONG)
    assert shared - 128 < cached <= shared


def test_explicit_caches_live_as_long_as_they_were_paid_for() -> None:
    clock = Clock()
    cache = PromptCache(clock)
    asked = prompt(LONG, LONG + "x", "tail", ttl={0: "1h", 1: "5m"})
    total = asked.total
    first = cache.explicit(("a",), asked, 1024)
    assert first.cache_write_1h + first.cache_write_5m + first.input == total
    assert cache.explicit(("a",), asked, 1024).cached_input == total - first.input
    clock.now = 301
    later = cache.explicit(("a",), asked, 1024)
    assert later.cached_input == first.cache_write_1h
    assert later.cache_write_5m == first.cache_write_5m
    clock.now = 7300
    assert cache.explicit(("a",), asked, 1024) == first


def test_a_prefix_below_the_minimum_is_not_cached() -> None:
    cache = PromptCache(Clock())
    asked = prompt("short", "tail", ttl={0: "5m"})
    for _ in range(2):
        assert cache.explicit(("a",), asked, 1024) == Usage(input=asked.total)


JPEG = (
    b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00" + bytes(9)
    + b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 240, 320, 3) + bytes(9)
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">II", 7, 9), (7, 9)),
        (b"GIF87a" + struct.pack("<HH", 3, 4), (3, 4)),
        (JPEG, (320, 240)),
        (b"RIFF0000WEBPVP8X" + bytes(8) + b"\x0f\x00\x00\x1f\x00\x00", (16, 32)),
        (
            b"RIFF0000WEBPVP8L" + bytes(5) + (15 | 31 << 14).to_bytes(4, "little") + bytes(9),
            (16, 32),
        ),
        (b"RIFF0000WEBPVP8 " + bytes(10) + struct.pack("<HH", 16, 32), (16, 32)),
    ],
)
def test_images_are_measured_by_their_headers(content: bytes, size: tuple[int, int]) -> None:
    assert image_size(content, "image") == size


@given(content=st.binary(max_size=64))
def test_anything_else_is_no_image(content: bytes) -> None:
    with pytest.raises(Refusal):
        image_size(content, "image")


@given(text=st.text("[]abcdeflowst-0123456789 ", max_size=60))
def test_directives_never_fail_on_a_users_text(text: str) -> None:
    directives(f"[[slow 1]]{text}[[status 999999]]")

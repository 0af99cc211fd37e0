"""Bodies: only plain JSON objects within bounds get in, and come out as they went in."""

import contextlib
import json
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import decoding
from signalbox_proxy.surfaces.decoding import decode_body, encode_body
from support.timing import cpu_s, least

JSON = "application/json"


def code_of(raw: bytes, content_type: str = JSON, encoding: str = "") -> str:
    with pytest.raises(Refusal) as caught:
        decode_body(raw, content_type, encoding)
    return str(caught.value.code)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "GZIP"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    assert code_of(b"{}", encoding=encoding) == "unsupported_encoding"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/jsonx",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
    ],
)
def test_a_body_that_says_it_is_no_utf8_json_is_refused(content_type: str) -> None:
    assert code_of(b"{}", content_type) == "unsupported_encoding"


@pytest.mark.parametrize(
    "content_type",
    ["", JSON, "Application/JSON", 'application/json; charset="UTF-8"', "application/vnd.x+json"],
)
def test_the_ways_to_say_json_are_accepted(content_type: str) -> None:
    assert decode_body(b'{"a":1}', content_type, "identity") == {"a": 1}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a":}',
        b'{"a":1}x',
        b'{"a":1,}',
        b"[]",
        b'"a"',
        b"null",
        b"1",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":1e400}',
        b'{"a":-1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b'{"a":1 /* x */}',
        b"\x00",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\x01"}',
        b'{"a":"\\x41"}',
    ],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    assert code_of(raw) == "invalid_json"


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_depth_is_bounded_exactly() -> None:
    assert decode_body(nested(decoding.MAX_DEPTH), JSON, "")
    assert code_of(nested(decoding.MAX_DEPTH + 1)) == "invalid_json"
    assert code_of(b'{"a":' + b"[" * 200_000) == "invalid_json"


def test_brackets_inside_strings_do_not_count() -> None:
    text = '[[[{{{\\"' * 200
    body = decode_body(json.dumps({"a": text, "b\\": "\\" * 7 + '"'}).encode(), JSON, "")
    assert body == {"a": text, "b\\": "\\" * 7 + '"'}


def test_the_number_of_keys_is_bounded_exactly() -> None:
    most = {f"k{i}": ": : :" for i in range(decoding.MAX_KEYS)}
    assert decode_body(json.dumps(most).encode(), JSON, "") == most
    assert code_of(json.dumps({**most, "one more": 1}).encode()) == "invalid_json"


def test_the_number_of_values_and_containers_is_bounded() -> None:
    assert code_of(b'{"a":[' + b"1," * (decoding.MAX_VALUES + 1) + b"1]}") == "invalid_json"
    assert code_of(b'{"a":[' + b'"",' * (decoding.MAX_STRINGS + 1) + b"1]}") == "invalid_json"
    assert code_of(b'{"a":[' + b"[]," * decoding.MAX_CONTAINERS + b"1]}") == "invalid_json"


def test_long_numbers_are_refused_and_long_digit_texts_are_not() -> None:
    assert decode_body(b'{"a":' + b"9" * 100 + b"}", JSON, "") == {"a": int("9" * 100)}
    for number in (b"9" * 101, b"0." + b"9" * 100, b"1e" + b"0" * 100, b"-" + b"9" * 101):
        assert code_of(b'{"a":' + number + b"}") == "invalid_json"
    digits = "9" * 5000
    assert decode_body(json.dumps({"a": digits}).encode(), JSON, "") == {"a": digits}


@pytest.mark.parametrize(
    "number",
    ["0", "-0.0", "1.0", "18446744073709551616", "-9223372036854775809", "0.1", "1e22", "1E-7",
     "0.12345678901234567890123456789", "3.141592653589793238462643", "1e-400", "5e-324",
     "123456789012345678901234567890.5", "1.7976931348623157e308"],
)  # fmt: skip
def test_numbers_keep_their_exact_value(number: str) -> None:
    body = decode_body(b'{"a":' + number.encode() + b"}", JSON, "")
    encoded = encode_body(body)
    assert Decimal(encoded[5:-1].decode()) == Decimal(number)


def test_of_duplicate_keys_only_the_one_that_is_read_goes_on() -> None:
    body = decode_body(b'{"model":"cheap","model":"dear"}', JSON, "")
    assert encode_body(body) == b'{"model":"dear"}'


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**98), 10**98)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES))
def test_every_object_survives_decoding_and_encoding(document: dict[str, object]) -> None:
    for escaped in (True, False):
        raw = json.dumps(document, ensure_ascii=escaped).encode()
        assert json.loads(encode_body(decode_body(raw, JSON, ""))) == document


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert isinstance(decode_body(raw, JSON, ""), dict)


@pytest.mark.parametrize(
    "unit", [b'"\\\\",', b'"\\"",', b"[],", b'"[{",', b"1,", b'{"a":1},', b'"', b"\\", b"{", b"9"]
)
def test_refusing_a_megabyte_takes_time_in_proportion(unit: bytes) -> None:
    raw = b'{"a":[' + unit * (1_000_000 // len(unit))
    # Measured: under 20 ms each.
    assert least(partial(cpu_s, lambda: code_of(raw)), 0.5, tries=3) < 0.5

"""Turns the raw body of a request into a JSON object that every reader reads the same way.

First step of every surface. What is forwarded later is encoded from the result, so duplicate
keys, odd escapes or comments can never mean one thing here and another at the provider. All
checks take linear time and run before anything is built in memory; the size limit itself is the
server's. Limits follow what no real request needs: see the constants.
"""

import math
import re
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

import msgspec

from signalbox_proxy.refusals import Refusal

MAX_DEPTH: Final = 64
"""Deepest nesting of objects and lists; the outermost object is 1."""

MAX_KEYS: Final = 10_000
"""Most members of all objects together."""

MAX_CONTAINERS: Final = 50_000
"""Most objects and lists together: bounds the time that decoding takes."""

MAX_STRINGS: Final = 100_000
"""Most strings together, names of members included."""

MAX_VALUES: Final = 400_000
"""Most list entries together; 300,000 embedding tokens, OpenAI's own limit, fit."""

MAX_NUMBER_LENGTH: Final = 100
"""Longest number, in characters."""

_NUMBER_TO_ZERO: Final = bytes(0x30 if byte in b"0123456789+-.eE" else byte for byte in range(256))
_TOO_LONG: Final = b"0" * (MAX_NUMBER_LENGTH + 1)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS: Final = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
_EXACT_FLOAT_LENGTH: Final = 15
"""Decimal texts up to this length survive the way to a double and back (IEEE 754, DBL_DIG)."""

_JSON_TYPE: Final = re.compile(r"application/(?:[\w.+-]{1,64}\+)?json", re.ASCII | re.IGNORECASE)


def decode_body(raw: bytes, content_type: str, content_encoding: str) -> dict[str, Any]:
    """Decode a request's body.

    Numbers keep their exact value: integers of any size as int, decimals as float where a double
    holds them exactly and as Decimal where not. Raises `Refusal` with `unsupported_encoding`
    (compressed, not JSON, not UTF-8 by its own declaration) or `invalid_json`.
    """
    _check_headers(content_type, content_encoding)
    _check_structure(raw)
    try:
        document: object = _DECODER.decode(raw)
    except UnicodeDecodeError:
        raise _invalid("is not UTF-8. Encode it as UTF-8.") from None
    except RecursionError:
        raise _invalid(f"nests deeper than {MAX_DEPTH} levels.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _invalid(f"is not JSON: {_bounded(error)}.") from None
    if not isinstance(document, dict):
        raise _invalid("is not a JSON object. Send an object, as the API reference shows.")
    return document


def encode_body(body: dict[str, Any]) -> bytes:
    """Encode what `decode_body` gave; every value comes out as it went in."""
    return _ENCODER.encode(body)


def _check_headers(content_type: str, content_encoding: str) -> None:
    if content_encoding.strip().lower() not in ("", "identity"):
        raise Refusal(
            "unsupported_encoding",
            "Compressed request bodies are not accepted. Send the body without Content-Encoding.",
            "content-encoding",
        )
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip() and not _JSON_TYPE.fullmatch(media_type.strip()):
        raise Refusal(
            "unsupported_encoding",
            "The body must be JSON. Send it with Content-Type: application/json.",
            "content-type",
        )
    charset = parameters.lower().partition("charset=")[2].strip().strip('"')
    if charset and charset not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(
            "unsupported_encoding",
            "The body must be UTF-8. Encode it as UTF-8 and say so in Content-Type.",
            "content-type",
        )


def _check_structure(raw: bytes) -> None:
    """Refuse what would be dear to decode. Cheap counts first; exact ones only where they fail."""
    if (
        raw.count(b"{") + raw.count(b"[") > MAX_DEPTH
        or (len(raw) > MAX_KEYS and _has_many(raw))
        or _TOO_LONG in raw.translate(_NUMBER_TO_ZERO)
    ):
        _check_outside_strings(_outside_strings(raw))


def _has_many(raw: bytes) -> bool:
    return (
        raw.count(b":") > MAX_KEYS
        or raw.count(b",") > MAX_VALUES
        or raw.count(b'"') > 2 * MAX_STRINGS
    )


def _outside_strings(raw: bytes) -> bytes:
    """The document with all strings cut out.

    Removing escaped backslashes in pairs and then escaped quotes leaves only quotes that begin
    or end a string; every second piece between them lies outside. Linear for any input, and
    right for all valid JSON; anything else fails in the decoder.
    """
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    if plain.count(b'"') > 2 * MAX_STRINGS:
        raise _invalid(f"has more than {MAX_STRINGS:,} strings in all.")
    return b'"'.join(plain.split(b'"')[::2])


def _check_outside_strings(outside: bytes) -> None:
    if outside.count(b":") > MAX_KEYS:
        raise _invalid(f"has more than {MAX_KEYS:,} object members in all.")
    if outside.count(b",") > MAX_VALUES:
        raise _invalid(f"has more than {MAX_VALUES:,} values in all.")
    if _TOO_LONG in outside.translate(_NUMBER_TO_ZERO):
        raise _invalid(f"has a number of more than {MAX_NUMBER_LENGTH} characters.")
    brackets = outside.translate(_STEPS, _NOT_BRACKETS)
    if len(brackets) > 2 * MAX_CONTAINERS:
        raise _invalid(f"has more than {MAX_CONTAINERS:,} objects and lists in all.")
    depth = max(accumulate(memoryview(brackets).cast("b")), default=0)
    if depth > MAX_DEPTH:
        raise _invalid(f"nests deeper than {MAX_DEPTH} levels.")


def _decimal(text: str) -> float | Decimal:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large for a double")
    if len(text) <= _EXACT_FLOAT_LENGTH and value:
        return value
    exact = Decimal(text)
    return value if exact == Decimal(repr(value)) else exact


def _bounded(error: Exception) -> str:
    return str(error)[:200].rstrip(".")


def _invalid(what: str) -> Refusal:
    return Refusal("invalid_json", f"The request body {what}")


_DECODER: Final = msgspec.json.Decoder(float_hook=_decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

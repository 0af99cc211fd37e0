"""Bodies of `multipart/form-data` (RFC 7578): read strictly in one pass, and written anew.

Nothing touches a disk, and a file is a view of the body, not a copy. What is forwarded is written
from what was read, so that no provider reads the parts differently: names and values only, no other
header of the client's, no name of a file but its extension. All of it takes linear time.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.fields import invalid

MAX_PARTS: Final = 32
MAX_HEAD: Final = 2048
"""Most bytes of a part's headers."""

MAX_HEADERS: Final = 8
MAX_VALUE: Final = 64 * 1024
"""Most bytes of a value that is no file."""

FORM: Final = "multipart/form-data"
"""Type of a body that is a form, without its boundary."""

_TYPE: Final = re.compile(
    r'multipart/form-data\s*;\s*boundary=("?)([^"\s;,]{1,70})\1\s*', re.IGNORECASE
)
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", re.ASCII)
_DISPOSITION: Final = re.compile(
    r'form-data;\s?name="([^"\\\r\n]{1,64})"(?:;\s?filename="((?:[^"\\\r\n]|\\.){0,512})")?',
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[A-Za-z0-9_]+(\[\])?", re.ASCII)
_EXTENSION: Final = re.compile(r"[A-Za-z0-9]{1,8}", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}", re.ASCII)
_PLAIN: Final = frozenset({"7bit", "8bit", "binary"})


class Upload(msgspec.Struct, frozen=True):
    """A file of a form. `extension` is that of its name, in lower case, "" for none."""

    extension: str
    media_type: str
    content: memoryview

    def __repr__(self) -> str:
        return f"Upload({self.extension!r}, {self.media_type!r}, {len(self.content)} bytes)"


def read_form(raw: bytes, content_type: str, content_encoding: str) -> dict[str, Any]:
    """Read a form: texts, lists of texts under names that end in `[]`, and files.

    Raises `Refusal` with `unsupported_encoding` (compressed, or another type) or `invalid_request`.
    """
    delimiter = b"--" + _boundary(content_type, content_encoding)
    if not raw.startswith(delimiter):
        raise _broken("does not begin with its boundary")
    form: dict[str, Any] = {}
    view = memoryview(raw)
    position = len(delimiter)
    for _ in range(MAX_PARTS + 1):
        if raw[position : position + 2] == b"--":
            if raw[position + 2 :].strip(b"\r\n \t"):
                raise _broken("goes on behind its end")
            return form
        if raw[position : position + 2] != b"\r\n":
            raise _broken("has a boundary that is not alone on its line")
        end_of_head = raw.find(b"\r\n\r\n", position, position + MAX_HEAD)
        if end_of_head < 0:
            raise _broken(f"has a part without a head of at most {MAX_HEAD} bytes")
        end = raw.find(b"\r\n" + delimiter, end_of_head + 2)
        if end < 0:
            raise _broken("ends before its last boundary")
        start = min(end_of_head + 4, end)
        _add(form, _head(raw[position + 2 : end_of_head]), view[start:end])
        position = end + 2 + len(delimiter)
    raise _broken(f"has more than {MAX_PARTS} parts")


def new_boundary() -> str:
    """A boundary for one form: nobody who writes a value can know it, so none can hold it."""
    return f"signalbox-{secrets.token_hex(16)}"


def write_form(form: Mapping[str, Any], boundary: str) -> bytes:
    """Write a form, its files last. Raises `Refusal` for one that holds the boundary."""
    pieces: list[bytes | memoryview] = []
    parts = 0
    for name, value in sorted(form.items(), key=lambda item: isinstance(item[1], Upload)):
        for each in value if isinstance(value, list) else [value]:
            parts += 1
            head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"'
            if isinstance(each, Upload):
                head += f'; filename="file{"." + each.extension if each.extension else ""}"'
                head += f"\r\ncontent-type: {each.media_type}"
            content = each.content if isinstance(each, Upload) else str(each).encode()
            pieces += [head.encode(), b"\r\n\r\n", content, b"\r\n"]
    written = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
    if written.count(boundary.encode()) != parts + 1:
        raise _broken("holds a boundary of its own making")
    return written


def typed(headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers for a body: where it is a form, their type names the boundary that it has."""
    if headers.get("content-type") != FORM:
        return headers
    boundary = body[2 : body.index(b"\r\n")].decode()
    return headers | {"content-type": f"{FORM}; boundary={boundary}"}


def _boundary(content_type: str, content_encoding: str) -> bytes:
    if content_encoding.strip().lower() not in ("", "identity"):
        raise Refusal(
            "unsupported_encoding",
            "Compressed request bodies are not accepted. Send the body without Content-Encoding.",
            "content-encoding",
        )
    found = _TYPE.fullmatch(content_type.strip()[:300])
    if found is None or not _BOUNDARY.fullmatch(found[2]):
        raise Refusal(
            "unsupported_encoding",
            "The body must be a form with a file. Send it with Content-Type: multipart/form-data "
            "and its boundary.",
            "content-type",
        )
    return found[2].encode()


def _head(raw: bytes) -> dict[str, str]:
    """The headers of a part, names in lower case."""
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _broken("has a part whose head is not UTF-8") from None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name.isascii() or name != name.strip() or name in headers:
            raise _broken("has a part whose head cannot be read in one way only")
        headers[name] = value.strip()
    if len(headers) > MAX_HEADERS:
        raise _broken(f"has a part with more than {MAX_HEADERS} headers")
    return headers


def _add(form: dict[str, Any], head: Mapping[str, str], content: memoryview) -> None:
    """Add one part to the form."""
    found = _DISPOSITION.fullmatch(head.get("content-disposition", ""))
    if found is None or not _NAME.fullmatch(found[1]):
        raise _broken("has a part without a plain Content-Disposition")
    name = found[1]
    if head.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
        raise invalid(name, f"{name} has a Content-Transfer-Encoding. Send it as it is.")
    value: Any = _file(found[2], head, content) if found[2] is not None else _text(name, content)
    if name.endswith("[]"):
        form.setdefault(name, []).append(value)
    elif name in form:
        raise invalid(name, f"{name} is there twice. Send it once.")
    else:
        form[name] = value


def _file(filename: str, head: Mapping[str, str], content: memoryview) -> Upload:
    extension = filename.rpartition(".")[2]
    media_type = head.get("content-type", "").partition(";")[0].strip().lower()
    return Upload(
        extension=extension.lower() if _EXTENSION.fullmatch(extension) else "",
        media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream",
        content=content,
    )


def _text(name: str, content: memoryview) -> str:
    if len(content) > MAX_VALUE:
        raise invalid(name, f"{name} is longer than {MAX_VALUE} bytes. Shorten it.")
    try:
        return bytes(content).decode()
    except UnicodeDecodeError:
        raise invalid(name, f"{name} is not UTF-8. Encode it as UTF-8.") from None


def _broken(what: str) -> Refusal:
    return Refusal("invalid_request", f"The form {what}. Send it as RFC 7578 says.")

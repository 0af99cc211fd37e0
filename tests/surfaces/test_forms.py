"""Forms with files: read in one way only or refused, in linear time; written anew."""

import io
import struct
import time
import wave
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import TRANSCRIPTIONS, multipart
from signalbox_proxy.surfaces.audio_length import wav_seconds
from signalbox_proxy.surfaces.multipart import Upload, read_form, typed, write_form
from support.snapshots import lane

TYPE = "multipart/form-data; boundary=frontier"
OURS = "signalbox-0123"
FILE = b'content-disposition: form-data; name="file"; filename="a.wav"'
MODEL = b'--frontier\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
WHOLE = MODEL + b"--frontier\r\n" + FILE + b"\r\n\r\nRIFF\r\n--frontier--\r\n"


def part(head: bytes, content: bytes = b"x") -> bytes:
    return b"--frontier\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def named(name: str, more: str = "") -> bytes:
    return f'content-disposition: form-data; name="{name}"{more}'.encode()


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--frontier--\r\n"


def test_a_form_as_clients_write_it_is_read() -> None:
    found = read_form(WHOLE, TYPE, "")
    assert found["model"] == "whisper"
    assert bytes(found["file"].content) == b"RIFF"
    assert found["file"].extension == "wav"
    assert "RIFF" not in repr(found["file"])
    quoted = read_form(WHOLE, 'Multipart/Form-Data; boundary="frontier"', "identity")
    assert quoted == found
    twice = form(part(named("include[]"), b"a"), part(named("include[]"), b"b"))
    assert read_form(twice, TYPE, "") == {"include[]": ["a", "b"]}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "does not begin"),
        (b"preamble\r\n" + WHOLE, "does not begin"),
        (WHOLE + b"epilogue", "goes on behind"),
        (WHOLE[:-14], "ends before"),
        (MODEL, "ends before|without a head"),
        (WHOLE.replace(b"\r\n\r\nRIFF", b"\nRIFF"), "without a head"),
        (b"--frontierX" + WHOLE[10:], "not alone on its line"),
        (form(part(b"x: " + b"a" * 3000)), "without a head"),
        (form(part(FILE + b"\r\n" + b"\r\n".join(b"x%d: y" % n for n in range(9)))), "headers"),
        (form(part(FILE + b"\r\n" + FILE)), "one way only"),
        (form(part(FILE + b"\r\n folded: x")), "one way only"),
        (form(part(b"content-type: text/plain")), "without a plain"),
        (form(part(b"content-disposition: attachment; name=a")), "without a plain"),
        (form(part(named("a", "; filename*=utf-8''b"))), "without a plain"),
        (form(part(named("a b"))), "without a plain"),
        (form(part(named("a\\\\"))), "without a plain"),
        (form(part(b"\xff: x")), "not UTF-8"),
        (form(part(named("a"), b"\xff")), "not UTF-8"),
        (form(part(named("a"), b"x" * 70_000)), "longer than"),
        (form(part(named("a")), part(named("a"))), "twice"),
        (form(part(FILE), part(FILE)), "twice"),
        (form(*[part(named(f"a{n}")) for n in range(33)]), "more than 32 parts"),
        (form(part(FILE + b"\r\ncontent-transfer-encoding: base64")), "Send it as it is"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        read_form(raw, TYPE, "")
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=a",
        'multipart/form-data; boundary="a',
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=a; charset=utf-8",
        "multipart/form-data; boundary=é",
    ],
)
def test_what_is_no_form_is_refused(kind: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_form(WHOLE, kind, "")
    assert refused.value.code == "unsupported_encoding"
    with pytest.raises(Refusal):
        read_form(WHOLE, TYPE, "gzip")


NAMES = st.from_regex(r"[a-z]{1,10}(\[\])?", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@given(
    texts=st.dictionaries(NAMES.filter(lambda name: name != "file"), TEXTS, max_size=8),
    content=st.binary(max_size=500),
)
def test_what_is_written_is_what_was_read_for_another_reader_too(
    texts: dict[str, str], content: bytes
) -> None:
    fields: dict[str, Any] = {
        name: [text] if name.endswith("[]") else text for name, text in texts.items()
    }
    fields["file"] = Upload("wav", "audio/wav", memoryview(content))
    written = write_form(fields, OURS)
    kind = typed({"content-type": "multipart/form-data"}, written)["content-type"]
    again = read_form(written, kind, "")
    assert {name: again[name] for name in texts} == {name: fields[name] for name in texts}
    assert bytes(again["file"].content) == content
    message = BytesParser(policy=HTTP).parsebytes(
        f"content-type: {kind}\r\n\r\n".encode() + written
    )
    assert len(list(message.iter_parts())) == len(fields)


@given(raw=st.binary(max_size=400), cut=st.integers(0, len(WHOLE)), at=st.integers(0, len(WHOLE)))
def test_any_bytes_are_read_or_refused(raw: bytes, cut: int, at: int) -> None:
    for body in (raw, b"--frontier" + raw, WHOLE[:at] + raw + WHOLE[at:], WHOLE[:cut]):
        try:
            found = read_form(body, TYPE, "")
        except Refusal:
            continue
        assert sum(len(str(value)) for value in found.values()) <= len(body) + 2000


@pytest.mark.parametrize(
    "filler",
    [b"\r\n--frontie", b"\r\n\r\n", b"x--frontier--", b"\r\n--", b"\0", b'"; name="'],
)
def test_a_large_form_is_read_in_linear_time(filler: bytes) -> None:
    content = filler * (20 * 2**20 // len(filler))
    begun = time.process_time()
    found = read_form(form(part(FILE, content)), TYPE, "")
    written = write_form(found, OURS)
    assert time.process_time() - begun < 5
    assert len(found["file"].content) == len(content)
    assert len(written) < len(content) + 1000


SMUGGLED = f'\r\n--{OURS}\r\ncontent-disposition: form-data; name="n"'


def test_a_file_that_holds_our_own_boundary_is_refused() -> None:
    with pytest.raises(Refusal, match="boundary"):
        write_form({"file": Upload("wav", "audio/wav", memoryview(SMUGGLED.encode()))}, OURS)
    with pytest.raises(Refusal, match="boundary"):
        write_form({"model": f"x{SMUGGLED}"}, OURS)


@pytest.mark.parametrize("dashes", ["--", f"--{OURS[:-1]}", "--a--\r\n"])
def test_a_value_that_begins_like_a_boundary_makes_no_room_for_another_part(dashes: str) -> None:
    kind = f"multipart/form-data; boundary={OURS}"
    assert read_form(write_form({"prompt": dashes}, OURS), kind, "") == {"prompt": dashes}
    with pytest.raises(Refusal, match="boundary"):
        write_form({"prompt": dashes, "language": f"en{SMUGGLED}"}, OURS)


def test_who_saw_one_form_that_was_sent_cannot_put_a_part_into_the_next() -> None:
    def sent(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        request = TRANSCRIPTIONS.parse(fields, {})
        body = TRANSCRIPTIONS.upstream_body(request, lane("up"), None)
        headers = TRANSCRIPTIONS.upstream_headers({}, lane("up"), "key")
        kind = typed(headers, body)["content-type"]
        return kind.partition("boundary=")[2], read_form(body, kind, "")

    honest = {"model": "whisper-1", "file": Upload("wav", "audio/wav", memoryview(sound(1)))}
    boundary, _ = sent(honest)
    smuggled = SMUGGLED.replace(OURS, boundary).replace('"n"', '"stream"')
    content = sound(1) + f"{smuggled}\r\n\r\ntrue".encode()
    forged = Upload("wav", "audio/wav", memoryview(content))
    another, form_sent = sent(honest | {"file": forged, "language": "--"})
    assert another != boundary
    assert form_sent.keys() == {"model", "language", "file"}
    assert bytes(form_sent["file"].content) == content


def sound(seconds: float, rate: int = 8000, width: int = 2, channels: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(bytes(width * channels * int(seconds * rate)))
    return file.getvalue()


@given(
    seconds=st.floats(0.1, 30),
    rate=st.sampled_from([8000, 11025, 16000]),
    width=st.sampled_from([1, 2, 3, 4]),
    channels=st.integers(1, 6),
)
def test_the_length_of_wav_is_never_too_low(
    seconds: float, rate: int, width: int, channels: int
) -> None:
    content = sound(seconds, rate, width, channels)
    with wave.open(io.BytesIO(content)) as read:
        frames = read.getnframes()
    found = wav_seconds(memoryview(content))
    assert found is not None
    assert frames <= found * rate < frames + 2 * rate


@pytest.mark.parametrize("size", [0, 16, 0xFFFFFFFF])
def test_a_stated_size_that_lies_changes_nothing(size: int) -> None:
    content = bytearray(sound(10))
    content[40:44] = struct.pack("<I", size)
    content[4:8] = struct.pack("<I", size)
    content[28:32] = struct.pack("<I", 1)  # bytes per second
    assert wav_seconds(memoryview(bytes(content))) == 10


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (20, struct.pack("<H", 2)),  # ADPCM
        (20, struct.pack("<H", 0x55)),  # MP3 in WAV
        (24, struct.pack("<I", 0)),  # no samples per second
        (24, struct.pack("<I", 768_001)),  # so many that minutes of sound look like seconds
        (32, struct.pack("<H", 64)),  # a frame that is larger than its samples
        (34, struct.pack("<H", 12)),
        (22, struct.pack("<H", 0)),
        (36, b"junk"),
        (12, b"junk"),
        (0, b"RIFX"),
    ],
)
def test_what_is_not_plain_wav_has_no_length(at: int, value: bytes) -> None:
    content = bytearray(sound(10))
    content[at : at + len(value)] = value
    assert wav_seconds(memoryview(bytes(content))) is None


def with_junk(content: bytes, size: int) -> bytes:
    return content[:36] + b"junk" + struct.pack("<I", size) + bytes(size) + content[36:]


def test_what_hides_in_front_of_the_sound_counts_as_sound() -> None:
    tags = with_junk(sound(10), 60_000)
    assert wav_seconds(memoryview(tags)) == 10
    hidden = with_junk(sound(10), 32_000 * 20)
    assert wav_seconds(memoryview(hidden)) == 28, "30 seconds of bytes, 64 KiB of them for tags"


@pytest.mark.parametrize("extension", ["mp3", "", "webm"])
def test_what_was_measured_as_wav_is_sent_as_wav(extension: str) -> None:
    file = Upload(extension, "audio/mpeg", memoryview(sound(1)))
    request = TRANSCRIPTIONS.parse({"model": "whisper-1", "file": file}, {})
    sent = TRANSCRIPTIONS.upstream_body(request, lane("up"), None)
    assert b'filename="file.wav"\r\ncontent-type: audio/wav\r\n' in sent
    asked = {"model": "whisper-1", "file": Upload("mp3", "audio/mpeg", memoryview(b"ID3"))}
    other = TRANSCRIPTIONS.upstream_body(TRANSCRIPTIONS.parse(asked, {}), lane("up"), None)
    assert b'filename="file.mp3"\r\ncontent-type: audio/mpeg\r\n' in other


@given(raw=st.binary(max_size=200), cut=st.integers(0, 60), at=st.integers(0, 60))
def test_any_bytes_have_a_length_or_none(raw: bytes, cut: int, at: int) -> None:
    whole = sound(0.01)
    for content in (raw, b"RIFF\0\0\0\0WAVE" + raw, whole[:at] + raw + whole[cut:]):
        found = wav_seconds(memoryview(content))
        assert found is None or 0 <= found <= len(content)


def test_a_form_without_a_file_or_with_two_spellings_is_refused() -> None:
    for fields in (
        {"model": "whisper", "file": "text"},
        {"model": "whisper"},
        {
            "model": "whisper",
            "file": Upload("wav", "audio/wav", memoryview(sound(1))),
            "include": "logprobs",
            "include[]": ["logprobs"],
        },
    ):
        with pytest.raises(Refusal) as refused:
            TRANSCRIPTIONS.parse(fields, {})
        assert refused.value.code == "invalid_request"


def test_limits_stand_in_the_documentation() -> None:
    assert (multipart.MAX_PARTS, multipart.MAX_HEAD, multipart.MAX_VALUE) == (32, 2048, 65536)

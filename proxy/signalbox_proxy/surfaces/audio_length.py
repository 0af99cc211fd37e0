"""How long a file of sound is, where its bytes themselves say so: uncompressed WAV.

Written from the format as Microsoft and IBM published it (RIFF, `WAVEFORMATEX`). The length follows
from the bytes that are there, never from a size that the file states: a header that lies changes
nothing. Compressed forms have no such bound, since silence takes next to no bytes.
"""

import struct
from typing import Final

PCM: Final = 1
FLOAT: Final = 3
EXTENSIBLE: Final = 0xFFFE
MAX_CHUNKS: Final = 64
"""Most chunks before the sound; tags of a music library take a few."""

MAX_BEFORE: Final = 64 * 1024
"""Most bytes before the sound that need not be any; what is beyond them counts as sound."""

MAX_RATE: Final = 768_000
"""Most samples per second: twice what any studio takes. A higher rate would make sound short."""

_SAMPLE_BITS: Final = frozenset({8, 16, 24, 32, 64})


def wav_seconds(content: memoryview) -> int | None:
    """The length in seconds, rounded up; None for what is not plain WAV.

    Everything behind the head of the data counts as sound, whatever the head says, and so does
    what is hidden in front of it.
    """
    head = bytes(content[:12])
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    position = 12
    bytes_per_second = 0
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(content):
            return None
        kind, size = struct.unpack_from("<4sI", content, position)
        position += 8
        if kind == b"data":
            if not bytes_per_second:
                return None
            return -(-(len(content) - min(position, MAX_BEFORE)) // bytes_per_second)
        if kind == b"fmt ":
            if bytes_per_second or not 16 <= size <= 64 or position + size > len(content):
                return None
            bytes_per_second = _bytes_per_second(content, position, size)
            if not bytes_per_second:
                return None
        position += size + size % 2
    return None


def _bytes_per_second(content: memoryview, position: int, size: int) -> int:
    """Of uncompressed samples, from their rate, number and width; 0 for anything else."""
    form, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", content, position)
    if form == EXTENSIBLE and size >= 40:
        (form,) = struct.unpack_from("<H", content, position + 24)
    if form not in (PCM, FLOAT) or bits not in _SAMPLE_BITS or not 1 <= channels <= 64:
        return 0
    if rate > MAX_RATE:
        return 0
    return rate * block if block == channels * bits // 8 else 0

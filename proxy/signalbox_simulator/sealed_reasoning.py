"""Encrypted reasoning as OpenAI hands it out when nothing is stored: opaque, and its own only.

The simulator keeps no secret: what it hands out is marked with a digest, so that it knows its own
again and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

MARK = b"simulated reasoning"


def sealed(text: str) -> str:
    """Give reasoning in a form that only the simulator reads."""
    content = text.encode()
    return base64.urlsafe_b64encode(_digest(content) + content).decode()


def opened(encrypted: str) -> str | None:
    """Give the reasoning back, or None for what was not sealed here."""
    try:
        raw = base64.urlsafe_b64decode(encrypted.encode())
    except (binascii.Error, ValueError):
        return None
    content = raw[16:]
    return content.decode("utf-8", "replace") if raw[:16] == _digest(content) else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, key=MARK, digest_size=16).digest()

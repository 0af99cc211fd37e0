"""Encrypted reasoning as OpenAI hands it out when nothing is stored: opaque, an account's own.

The simulator keeps no secret: what it hands out is marked with a digest, so that it knows its own
again and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

MARK = b"simulated reasoning"


def sealed(text: str, account: str) -> str:
    """Give reasoning in a form that only the same account at the same host can send back."""
    content = text.encode()
    return base64.urlsafe_b64encode(_digest(content, account) + content).decode()


def opened(encrypted: str, account: str) -> str | None:
    """Give the reasoning back, or None for what was not sealed for this account."""
    try:
        raw = base64.urlsafe_b64decode(encrypted.encode())
    except (binascii.Error, ValueError):
        return None
    content = raw[16:]
    return content.decode("utf-8", "replace") if raw[:16] == _digest(content, account) else None


def _digest(content: bytes, account: str) -> bytes:
    own = hashlib.blake2b(account.encode(), key=MARK).digest()
    return hashlib.blake2b(content, key=own, digest_size=16).digest()

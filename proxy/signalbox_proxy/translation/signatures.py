"""Signatures of reasoning on their way through a client of another vendor's format.

A client keeps what it was given and sends it back unread. A vendor's signature that it got in
another vendor's answer carries the vendor's name, so that it goes back to that vendor and to
nobody else: `sb1.<format>.<signature>`.
"""

from signalbox_proxy.sealing import MARK, is_sealed

__all__ = ["is_sealed", "seal", "unseal"]


def seal(origin: str, signature: str) -> str:
    """The signature of a provider format as a client of another format gets it."""
    return f"{MARK}.{origin}.{signature}"


def unseal(sealed: str, own: str) -> tuple[str, str]:
    """Origin and signature; one without a mark is the client's own vendor's, `own`."""
    if not is_sealed(sealed):
        return own, sealed
    _, origin, signature = sealed.split(".", 2)
    return origin, signature

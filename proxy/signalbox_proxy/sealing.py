"""The mark of reasoning that a client keeps for another vendor than the one whose API it speaks.

Written by `translation.signatures`. Surfaces know it too: what is sealed goes to its own vendor
alone, also where the client's body is sent as it is.
"""

from typing import Final

MARK: Final = "sb1"


def is_sealed(signature: str) -> bool:
    """Whether a client's signature was sealed by Signalbox: `sb1.<format>.<signature>`."""
    return signature.startswith(f"{MARK}.") and signature.count(".") >= 2

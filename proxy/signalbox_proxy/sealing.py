"""The mark of reasoning that a client keeps for whoever made it.

Written by `translation.signatures`. Surfaces know it too: what is sealed goes to its own vendor
alone, also where the client's body is sent as it is.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from signalbox_snapshot.snapshot import Lane

MARK: Final = "sb1"


def is_sealed(signature: str) -> bool:
    """Whether a client's signature was sealed by Signalbox: `sb1.<format>.<signature>`."""
    return signature.startswith(f"{MARK}.") and signature.count(".") >= 2


def owner_of(lane: Lane) -> str:
    """Who encrypts the reasoning of a lane, as 16 hexadecimal digits that name nobody.

    Provider, endpoint and credential: an account's reasoning is read with its own keys only.
    """
    whose = (lane.provider, lane.endpoint, lane.auth, lane.auth_key, lane.identity)
    return blake2b(msgspec.json.encode(whose), digest_size=8).hexdigest()

"""When the certificates that the operator looks after end, for Prometheus."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from signalbox_operator.cluster.certificates import end_of, split
from signalbox_operator.cluster.rings import Data

_CERTIFICATES: Final = {
    "control": ("control", "tls.crt"),
    "control_authority": ("signer", "ca.crt"),
    "webhook": ("webhook", "tls.crt"),
    "webhook_authority": ("webhook", "ca.crt"),
}
"""The Secret and the key that hold each; of two the first is in use."""

CERTIFICATES: Final = tuple(_CERTIFICATES)


def certificate_ends(vault: Mapping[str, Data]) -> dict[str, float]:
    """Seconds since the epoch, by certificate; without those that are missing or malformed."""
    found: dict[str, float] = {}
    for name, (secret, key) in _CERTIFICATES.items():
        with suppress(ValueError, IndexError):
            found[name] = end_of(split(vault[secret].get(key, b""))[0])
    return found

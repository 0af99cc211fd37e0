"""The webhook's own authority and certificate, which nobody but the API server has to believe.

The authority is written into the ValidatingWebhookConfiguration by name. A new one stands there
beside the old one from one look to the next, before it signs anything; and where the API server
has not heard of it yet, objects are stored unseen and judged in their status, as ever when the
webhook is away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from signalbox_operator.cluster.certificates import (
    Pair,
    is_due,
    is_good,
    issue,
    new_authority,
    pairs,
)
from signalbox_operator.cluster.release_secrets import Change


@dataclass(frozen=True, slots=True)
class WebhookTrust:
    """What the webhook serves with, and what the API server is to believe (PEM)."""

    certificate: bytes
    key: bytes = field(repr=False)
    bundle: bytes

    @classmethod
    def of(cls, data: Mapping[str, bytes]) -> "WebhookTrust | None":
        """As the Secret holds it, None while it does not."""
        certificate, key = data.get("tls.crt", b""), data.get("tls.key", b"")
        bundle = data.get("ca.crt", b"")
        return cls(certificate, key, bundle) if certificate and key and bundle else None


def webhook_change(data: Mapping[str, bytes], names: Sequence[str], now: datetime) -> Change | None:
    """The next write to the Secret, None where all is as it should be.

    A new authority is added, signs from the look after that, and is alone from the one after that.
    Raises ValueError or TypeError for content that is malformed.
    """
    authorities = pairs(data.get("ca.crt", b""), data.get("ca.key", b""))
    if not authorities:
        return _written([new_authority("signalbox webhook", now)], names, now)
    if len(authorities) == 1 and is_due(authorities[0].certificate, now):
        fresh = new_authority("signalbox webhook", now)
        return Change("webhook", _authorities([authorities[0], fresh]))
    newest = authorities[-1]
    leaf = pairs(data.get("tls.crt", b""), data.get("tls.key", b""))
    if not leaf or not is_good(leaf[0], newest, names, now):
        return _written(authorities, names, now)
    if len(authorities) > 1:
        return Change("webhook", _authorities([newest]))
    return None


def _written(authorities: list[Pair], names: Sequence[str], now: datetime) -> Change:
    leaf = issue(authorities[-1], names, now)
    data = _authorities(authorities)
    return Change("webhook", data | {"tls.crt": leaf.certificate, "tls.key": leaf.key})


def _authorities(items: Sequence[Pair]) -> dict[str, bytes]:
    return {
        "ca.crt": b"".join(item.certificate for item in items),
        "ca.key": b"".join(item.key for item in items),
    }

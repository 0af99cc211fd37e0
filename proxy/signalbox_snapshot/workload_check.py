"""What issuers and ServiceAccounts of a well-formed snapshot must satisfy; part of `check`.

Keys are parsed here, so that no proxy takes up a snapshot with one that it cannot verify by.
"""

import base64
import binascii
import re
from itertools import pairwise
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from signalbox_snapshot.faults import SnapshotError
from signalbox_snapshot.snapshot import Snapshot
from signalbox_snapshot.workloads import MAX_ISSUER_KEYS, MAX_ISSUERS, Issuer, IssuerKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
_TEXT: Final = re.compile(r"[!-~]{1,512}")
_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")

PublicKey = RSAPublicKey | EllipticCurvePublicKey


def check_workloads(snapshot: Snapshot) -> None:
    """Raises SnapshotError for the first rule that does not hold."""
    issuers = snapshot.token_issuers
    _sorted([issuer.issuer for issuer in issuers], MAX_ISSUERS, "$.issuers")
    for position, issuer in enumerate(issuers):
        _check_issuer(issuer, f"$.issuers[{position}]")
    owners: set[str] = set()
    for position, agent in enumerate(snapshot.agents):
        path = f"$.agents[{position}].service_accounts"
        _sorted([account.name for account in agent.accounts], 64, path)
        namespace = agent.id.partition("/")[0]
        for number, account in enumerate(agent.accounts):
            if not _NAME.fullmatch(account.name) or not _TEXT.fullmatch(account.uid):
                raise SnapshotError(f"{path}[{number}]", "is not a name with its uid")
            owned = f"{namespace}/{account.name}"
            if owned in owners:
                raise SnapshotError(f"{path}[{number}]", f"{owned} stands for another agent too")
            owners.add(owned)


def load_key(key: IssuerKey) -> PublicKey:
    """The key of an issuer. Raises ValueError for one that is none, or not for its algorithm."""
    try:
        found = load_der_public_key(base64.b64decode(key.spki, validate=True))
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("is not a public key in base64 of DER") from None
    if key.algorithm == "RS256" and isinstance(found, RSAPublicKey):
        if MIN_RSA_BITS <= found.key_size <= MAX_RSA_BITS:
            return found
        raise ValueError(
            f"has {found.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"
        )
    if key.algorithm == "ES256" and isinstance(found, EllipticCurvePublicKey):
        if isinstance(found.curve, SECP256R1):
            return found
        raise ValueError("is not on the curve P-256")
    raise ValueError(f"is not a key for {key.algorithm}")


def _check_issuer(issuer: Issuer, path: str) -> None:
    for name in ("issuer", "audience"):
        if not _TEXT.fullmatch(getattr(issuer, name)):
            raise SnapshotError(f"{path}.{name}", "is not 1 to 512 printable ASCII characters")
    _sorted([key.id for key in issuer.keys], MAX_ISSUER_KEYS, f"{path}.keys")
    for position, key in enumerate(issuer.keys):
        if not _TEXT.fullmatch(key.id):
            raise SnapshotError(f"{path}.keys[{position}].id", "is not printable ASCII")
        try:
            load_key(key)
        except ValueError as error:
            raise SnapshotError(f"{path}.keys[{position}].spki", str(error)) from None


def _sorted(names: list[str], most: int, path: str) -> None:
    if len(names) > most:
        raise SnapshotError(path, f"has {len(names)} entries; at most {most} are accepted")
    if any(one >= other for one, other in pairwise(names)):
        raise SnapshotError(path, "is not sorted, or names something twice")

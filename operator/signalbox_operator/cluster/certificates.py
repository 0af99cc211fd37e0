"""Authorities and certificates of a release's own: nobody has to install anything that makes them.

ECDSA on P-256 with SHA-256 (RFC 5480, RFC 5758), which every TLS library speaks. An authority may
sign leaf certificates only. Renewed is what has less than a third of its life left.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = timedelta(days=3 * 365)
LEAF_LIFE: Final = timedelta(days=90)
CLOCK_SKEW: Final = timedelta(hours=1)
"""Certificates are valid from this long ago: other machines' clocks may be behind."""

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]{1,40})-----[^-]{1,16384}-----END \1-----\s*")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The certificate's name; see `digest`."""
        return digest(self.certificate)


def new_authority(title: str, now: datetime) -> Pair:
    """A new authority. Its name is its own, so that two in one bundle are told apart."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{title} {secrets.token_hex(4)}")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    made = (
        _begun(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(made, key)


def issue(authority: Pair, names: Sequence[str], now: datetime) -> Pair:
    """A new certificate for a server of these DNS names. Raises ValueError for a bad authority."""
    signer, above = _private(authority), _certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    life = min(LEAF_LIFE, above.not_valid_after_utc - now)
    made = (
        _begun(_name(names[0][:64]), above.subject, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    return _pair(made, key)


def is_good(leaf: Pair, authority: Pair, names: Sequence[str], now: datetime) -> bool:
    """Whether a stored certificate may serve on: its key fits, that authority signed it, it is for
    these names, and not due."""
    try:
        found = _certificate(leaf.certificate)
        if _private(leaf).public_key() != found.public_key():
            return False
        found.verify_directly_issued_by(_certificate(authority.certificate))
        shown = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        stated = shown.value.get_values_for_type(x509.DNSName)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return stated == list(names) and not is_due(leaf.certificate, now)


def is_due(certificate: bytes, now: datetime) -> bool:
    """Whether less than a third of its life is left. Raises ValueError for what is none."""
    found = _certificate(certificate)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return found.not_valid_after_utc - now < life / 3


def end_of(certificate: bytes) -> float:
    """When it ends, in seconds since the epoch. Raises ValueError for what is none."""
    return _certificate(certificate).not_valid_after_utc.timestamp()


def digest(certificate: bytes) -> str:
    """The name of a certificate as proxies tell it: 16 hex digits of the sha256 of its DER."""
    return hashlib.sha256(_certificate(certificate).public_bytes(Encoding.DER)).hexdigest()[:16]


def pairs(certificates: bytes, keys: bytes) -> list[Pair]:
    """Certificates and their keys, each file holding one after the other in the same order.

    Raises ValueError, quoting nothing, where they do not fit.
    """
    found = [Pair(*each) for each in zip(_blocks(certificates), _blocks(keys), strict=False)]
    if len(found) != len(_blocks(certificates)) or len(found) != len(_blocks(keys)):
        raise ValueError("holds another number of certificates than of keys")
    for each in found:
        if _private(each).public_key() != _certificate(each.certificate).public_key():
            raise ValueError("holds a certificate that is not its key's")
    return found


def split(certificates: bytes) -> list[bytes]:
    """The certificates of a bundle. Raises ValueError for what is none."""
    found = _blocks(certificates)
    for each in found:
        _certificate(each)
    return found


def _blocks(pem: bytes) -> list[bytes]:
    if _BLOCK.sub(b"", pem).strip():
        raise ValueError("holds something else than PEM")
    return [match[0].strip() + b"\n" for match in _BLOCK.finditer(pem)]


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ValueError("is not a certificate in PEM") from None


def _private(pair: Pair) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pair.key, password=None)
    except (ValueError, TypeError):
        raise ValueError("is not a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("is not an ECDSA key")
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(**given: bool) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**dict.fromkeys(every, False) | given)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )

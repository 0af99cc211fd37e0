"""TLS of the control port: the certificate that it shows, and whom it believes among its peers.

Files are mounted Secrets, empty until the operator fills them and replaced while the process runs.
A certificate is taken up only together with its key; until there is one, every handshake fails.
"""

import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path

from signalbox_proxy.watched_file import WatchedFile


class ControlCertificate:
    """What the control port proves itself by. `digest` names the certificate that is shown."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._watched = (WatchedFile(certificate), WatchedFile(key))
        self._current: ssl.SSLContext | None = None
        self.digest = ""
        self.context = _server_context()
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Take up a pair that changed; whether one was. Raises ValueError for a pair that is none.

        Two files cannot be read at one instant: a pair that does not fit is looked at again.
        """
        contents = [watched.changed() for watched in self._watched]
        if contents == [None, None]:
            return False
        try:
            before = self._certificate.read_bytes()
            if not before.strip():
                return False
            fresh = _server_context()
            fresh.load_cert_chain(self._certificate, self._key)
            if self._certificate.read_bytes() != before:
                raise OSError("changed while it was read")  # noqa: TRY301  as any other failure
            digest = certificate_digests(before)[0]
        except (OSError, ValueError, IndexError) as error:
            for watched in self._watched:
                watched.forget()
            raise ValueError(
                f"{self._certificate} and {self._key} are no certificate with its key"
            ) from error
        self._current, self.digest = fresh, digest
        return True

    def _choose(
        self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> int | None:
        """Called by OpenSSL in each handshake, before a certificate is needed."""
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


class PeerAuthorities:
    """The authorities that peers' certificates are checked against."""

    def __init__(self, path: Path) -> None:
        self._watched = WatchedFile(path)
        self.context: ssl.SSLContext | None = None
        self.digests: Sequence[str] = ()

    def refresh(self) -> bool:
        """Read the file if it changed; whether it did. Raises ValueError where it holds something
        else than certificates; what was believed before then stays."""
        content = self._watched.changed()
        if content is None:
            return False
        if not content.strip():
            self.context, self.digests = None, ()
            return True
        try:
            text = content.decode("ascii")
            fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            fresh.minimum_version = ssl.TLSVersion.TLSv1_2
            fresh.load_verify_locations(cadata=text)
            digests = certificate_digests(content)
        except (ValueError, OSError):
            raise ValueError(f"{self._watched.path} does not hold certificates in PEM") from None
        self.context, self.digests = fresh, digests
        return True


def certificate_digests(pem: bytes) -> list[str]:
    """The names of certificates in PEM: 16 hex digits of the sha256 of each one's DER."""
    end = b"-----END CERTIFICATE-----"
    return [
        hashlib.sha256(ssl.PEM_cert_to_DER_cert((part + end).decode("ascii").strip())).hexdigest()[
            :16
        ]
        for part in pem.split(end)[:-1]
    ]


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

"""AWS Signature Version 4: how a call to AWS proves who sends it, and that nobody changed it.

Source: AWS, "Create a signed AWS API request" (IAM User Guide). Own code, not botocore: that would
be tens of megabytes and half a second of imports for four HMACs, and it signs its own requests
only. Signed are the host, the content type and what AWS itself reads (`x-amz-...`), no header that
a mesh between here and AWS may touch.
"""

import hashlib
import hmac
import time
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from signalbox_proxy.signin.contract import Unsigned

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class AwsKeys(NamedTuple):
    """Keys of an identity; `token` belongs to those that end."""

    key_id: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"AwsKeys({self.key_id!r})"


def sign(call: Unsigned, keys: AwsKeys, *, region: str, service: str, now_s: int) -> dict[str, str]:
    """The headers that sign a call.

    Its URL has no query, and a path whose segments are percent-encoded as they are sent.
    """
    parts = urlsplit(call.url)
    instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    scope = f"{instant[:8]}/{region}/{service}/aws4_request"
    added = {"x-amz-date": instant}
    if keys.token:
        added["x-amz-security-token"] = keys.token
    signed = {
        name: " ".join(value.split())
        for name, value in {**call.headers, **added}.items()
        if name == "content-type" or name.startswith("x-amz-")
    }
    signed["host"] = _host(parts.scheme, parts.hostname or "", parts.port)
    names = sorted(signed)
    canonical = "\n".join(
        (
            call.method,
            quote(parts.path or "/", safe="/~"),
            "",
            *(f"{name}:{signed[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(call.body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{instant}\n{scope}\n{digest}"
    signature = _mac(_signing_key(keys.secret, scope), text).hex()
    added["authorization"] = (
        f"{_ALGORITHM} Credential={keys.key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return added


def _host(scheme: str, name: str, port: int | None) -> str:
    """As the Host header has it: the port only where it is not the scheme's own."""
    bracketed = f"[{name}]" if ":" in name else name
    return bracketed if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{bracketed}:{port}"


def _signing_key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = _mac(key, step)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")

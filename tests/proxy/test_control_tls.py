"""The control port in a cluster: TLS, files that come late and change, two of each accepted."""

import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_simulator.process import SimulatorProcess
from signalbox_snapshot import codec, envelope, signing_keys
from support.certificates import Authority
from support.fleet import FLEET, Fleet, ProxyProcess, eventually
from support.mounted_secrets import MountedSecret
from support.snapshots import snapshot

OLD_TOKEN, NEW_TOKEN = secrets.token_hex(16), secrets.token_hex(16)
SERVER_NAME = "localhost"


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem)


def told(
    proxy: ProxyProcess, tls: ssl.SSLContext, token: str, path: str = "status", **more: Any
) -> tuple[int, Any]:
    """Status code and answer of a call by TLS."""
    request = urllib.request.Request(
        f"https://{SERVER_NAME}:{proxy.ports['control-port']}/control/v1/{path}",
        headers={"Authorization": f"Bearer {token}"},
        **more,
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
    )
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def reached(proxy: ProxyProcess, tls: ssl.SSLContext, token: str) -> Any:
    """The status, None where the call fails in any way."""
    try:
        code, document = told(proxy, tls, token)
    except OSError:
        return None
    return document if code == 200 else None


class Cluster:
    """A fleet whose files are mounted Secrets, as the chart mounts them: empty at first."""

    def __init__(self, folder: Path, simulator: SimulatorProcess) -> None:
        self.trust = MountedSecret(folder / "trust", {"signing-keys.pem": b"", "ca.crt": b""})
        self.control = MountedSecret(folder / "control", {"tls.crt": b"", "tls.key": b""})
        self.tokens = MountedSecret(folder / "tokens", {"control-tokens": b""})
        flags = {
            "--trust": self.trust.path("signing-keys.pem"),
            "--control-ca": self.trust.path("ca.crt"),
            "--control-certificate": self.control.path("tls.crt"),
            "--control-key": self.control.path("tls.key"),
            "--control-token": self.tokens.path("control-tokens"),
        }
        options = tuple(str(part) for pair in flags.items() for part in pair)
        self.fleet = Fleet(folder, simulator=simulator, options=options)
        self.authority = Authority.new()

    @property
    def proxy(self) -> ProxyProcess:
        return self.fleet.proxies[0]

    def fill(self) -> None:
        """What the operator does to empty Secrets."""
        self.control.replace(self.issued())
        self.trust_keys(self.fleet.signing_key)
        self.trust.replace({"ca.crt": self.authority.pem.encode()})
        self.tokens.replace({"control-tokens": f"{OLD_TOKEN}\n".encode()})
        tls = trusting(self.authority)
        eventually(
            lambda: (reached(self.proxy, tls, OLD_TOKEN) or {}).get("trusts", {}).get("keys")
        )

    def issued(self) -> dict[str, bytes]:
        """A new certificate, as its Secret holds it."""
        pair = self.authority.issue("control", [SERVER_NAME])
        return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}

    def trust_keys(self, *keys: Ed25519PrivateKey) -> None:
        pem = b"".join(signing_keys.public_pem(key.public_key()) for key in keys)
        self.trust.replace({"signing-keys.pem": pem})

    def push(self, key: Ed25519PrivateKey, generation: int, token: str = OLD_TOKEN) -> Any:
        sealed = envelope.seal(
            key, fleet=FLEET, generation=generation, payload=codec.encode(snapshot())
        )
        tls = trusting(self.authority)
        data = envelope.encode(sealed)
        return told(self.proxy, tls, token, "snapshot", data=data, method="PUT")

    def status(self, token: str = OLD_TOKEN) -> Any:
        code, document = told(self.proxy, trusting(self.authority), token)
        assert code == 200
        return document


@pytest.fixture
def empty(tmp_path: Path, simulator: SimulatorProcess) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, simulator)
    with cluster.fleet:
        yield cluster


@pytest.fixture
def cluster(empty: Cluster) -> Cluster:
    empty.fill()
    return empty


def test_a_proxy_whose_secrets_are_empty_waits_and_takes_them_up_when_they_are_filled(
    empty: Cluster,
) -> None:
    proxy, tls = empty.proxy, trusting(empty.authority)
    with pytest.raises(OSError, match=r"SSL|TLS|alert"):
        told(proxy, tls, OLD_TOKEN)
    assert proxy.process.poll() is None
    empty.fill()
    assert empty.push(empty.fleet.signing_key, 1)[0] == 200
    assert empty.status()["ready"] is True


def test_nothing_is_told_without_tls_and_nothing_with_an_old_version_of_it(
    cluster: Cluster,
) -> None:
    with pytest.raises(OSError):  # noqa: PT011  a reset, or bytes that are no HTTP
        urllib.request.urlopen(f"{cluster.proxy.control_url}/control/v1/status", timeout=60)
    old = trusting(cluster.authority)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError, match=r"SSL|TLS|alert|protocol"):
        told(cluster.proxy, old, OLD_TOKEN)


def test_a_certificate_that_is_renewed_is_shown_to_the_next_who_asks(cluster: Cluster) -> None:
    before = cluster.status()["trusts"]["certificate"]
    cluster.control.replace(cluster.issued())
    eventually(lambda: cluster.status()["trusts"]["certificate"] != before)


def test_a_certificate_without_its_key_changes_nothing(cluster: Cluster) -> None:
    before = cluster.status()["trusts"]["certificate"]
    renewed = cluster.issued()
    cluster.control.replace({"tls.crt": renewed["tls.crt"]})
    eventually(lambda: "no certificate with its key" in cluster.proxy.log.read_text())
    assert cluster.status()["trusts"]["certificate"] == before
    cluster.control.replace(renewed)
    eventually(lambda: cluster.status()["trusts"]["certificate"] != before)


def test_two_tokens_are_accepted_and_one_that_is_taken_out_is_not(cluster: Cluster) -> None:
    tls = trusting(cluster.authority)
    cluster.tokens.replace({"control-tokens": f"{OLD_TOKEN}\n{NEW_TOKEN}\n".encode()})
    eventually(lambda: reached(cluster.proxy, tls, NEW_TOKEN))
    assert reached(cluster.proxy, tls, OLD_TOKEN)
    told_of = cluster.status()["trusts"]["tokens"]
    assert len(told_of) == 2
    cluster.tokens.replace({"control-tokens": f"{NEW_TOKEN}\n".encode()})
    eventually(lambda: not reached(cluster.proxy, tls, OLD_TOKEN))
    assert cluster.status(NEW_TOKEN)["trusts"]["tokens"] == told_of[1:]


def test_two_signing_keys_are_accepted_and_one_that_is_taken_out_is_not(cluster: Cluster) -> None:
    old, new = cluster.fleet.signing_key, Ed25519PrivateKey.generate()
    assert cluster.push(new, 1)[0] == 422
    cluster.trust_keys(old, new)
    names = [envelope.key_id(key.public_key()) for key in (old, new)]
    eventually(lambda: cluster.status()["trusts"]["keys"] == names)
    assert cluster.push(old, 1)[0] == 200
    assert cluster.push(new, 2)[0] == 200
    cluster.trust_keys(new)
    eventually(lambda: cluster.status()["trusts"]["keys"] == names[1:])
    code, answer = cluster.push(old, 3)
    assert (code, answer["path"]) == (422, "$.key_id")


def test_what_is_in_force_may_be_sealed_again_by_the_next_key(cluster: Cluster) -> None:
    """Else a proxy would refuse its own last good snapshot, once the key before is withdrawn."""
    old, new = cluster.fleet.signing_key, Ed25519PrivateKey.generate()
    cluster.trust_keys(old, new)
    eventually(lambda: len(cluster.status()["trusts"]["keys"]) == 2)
    assert cluster.push(old, 1)[0] == 200
    assert cluster.push(new, 1)[0] == 200
    assert cluster.status()["key_id"] == envelope.key_id(new.public_key())
    cluster.trust_keys(new)
    cluster.proxy.kill()
    cluster.proxy.start()
    eventually(lambda: reached(cluster.proxy, trusting(cluster.authority), OLD_TOKEN) or {})
    assert cluster.status()["generation"] == 1


def test_a_malformed_file_is_said_once_and_what_was_trusted_stays(cluster: Cluster) -> None:
    cluster.tokens.replace({"control-tokens": b"short"})
    cluster.trust.replace({"signing-keys.pem": b"-----BEGIN NOTHING-----"})
    eventually(lambda: "cannot be used" in cluster.proxy.log.read_text())
    assert cluster.push(cluster.fleet.signing_key, 1)[0] == 200
    assert "short" not in cluster.proxy.log.read_text()


def test_peers_behind_a_name_are_asked_by_tls_and_must_be_it(cluster: Cluster) -> None:
    assert cluster.push(cluster.fleet.signing_key, 7)[0] == 200
    first, tls = cluster.proxy, trusting(cluster.authority)
    cluster.fleet._options += ("--peers-of", f"{SERVER_NAME}:{first.ports['control-port']}")
    second = cluster.fleet.add_proxy()
    assert eventually(lambda: reached(second, tls, OLD_TOKEN))["generation"] == 7
    stranger = Authority.new()
    cluster.trust.replace({"ca.crt": stranger.pem.encode()})
    third = cluster.fleet.add_proxy()
    assert eventually(lambda: reached(third, tls, OLD_TOKEN))["generation"] == 0
    cluster.trust.replace({"ca.crt": (stranger.pem + cluster.authority.pem).encode()})
    eventually(lambda: (reached(third, tls, OLD_TOKEN) or {})["generation"] == 7)


def test_status_tells_digests_and_schemas_never_what_the_files_hold(cluster: Cluster) -> None:
    cluster.push(cluster.fleet.signing_key, 1)
    status = cluster.status()
    assert status["schemas"] == list(codec.ACCEPTED_SCHEMAS)
    assert status["key_id"] in status["trusts"]["keys"]
    assert len(status["trusts"]["authorities"]) == 1
    assert OLD_TOKEN not in json.dumps(status)
    assert OLD_TOKEN not in cluster.proxy.log.read_text()

"""Keys, authorities and tokens change, and at no moment is anybody not believed.

A fleet of simulated proxies, each with Secrets mounted at another moment, and an operator that is
killed between any two writes. Certificates, signatures and tokens are real.
"""

import asyncio
import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from signalbox_operator.cluster.api import ApiError
from signalbox_operator.cluster.certificates import digest, pairs, split
from signalbox_operator.cluster.trust_keeper import SECRETS, FleetTrust, TrustKeeper, TrustLook
from signalbox_operator.control_port import ProxyStatus, Trusts
from signalbox_proxy.trust import token_digest
from signalbox_snapshot import envelope, signing_keys
from support.secret_store import SecretStore

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMESPACE, RELEASE = "signalbox-system", "signalbox"
MOUNTED = ("control", "trust", "tokens")


@dataclass
class Proxy:
    """What a proxy's kubelet mounted last, Secret by Secret, and what runs there."""

    mounts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sealed_by: str = ""
    answers: bool = True

    def file(self, secret: str, key: str) -> bytes:
        return self.mounts.get(secret, {}).get(key, b"")

    @property
    def tokens(self) -> list[str]:
        return self.file("tokens", "control-tokens").decode().split()

    @property
    def keys(self) -> list[str]:
        loaded = signing_keys.load_public_keys(self.file("trust", "signing-keys.pem"))
        return [envelope.key_id(key) for key in loaded]

    @property
    def authorities(self) -> list[bytes]:
        return split(self.file("trust", "ca.crt"))

    def status(self, name: str) -> ProxyStatus | None:
        if not self.answers:
            return None
        certificate = self.file("control", "tls.crt")
        return ProxyStatus(
            name=name,
            ready=True,
            key_id=self.sealed_by,
            trusts=Trusts(
                keys=tuple(self.keys),
                tokens=tuple(token_digest(token) for token in self.tokens),
                authorities=tuple(digest(each) for each in self.authorities),
                certificate=digest(certificate) if certificate else "",
            ),
        )


class World:
    """A release: its Secrets, its proxies, and an operator that may be replaced at any time."""

    def __init__(self, proxies: int = 3) -> None:
        self.store = SecretStore(NAMESPACE, *(f"{RELEASE}-{name}" for name in SECRETS))
        self.proxies = {f"proxy-{number}": Proxy() for number in range(proxies)}
        self.head_key = ""
        self.now = NOW
        self.requests: dict[str, str] = {}
        self.keeper = self.new_keeper()

    def new_keeper(self) -> TrustKeeper:
        return TrustKeeper(self.store, namespace=NAMESPACE, release=RELEASE, clock=lambda: self.now)

    def secret(self, name: str) -> dict[str, bytes]:
        stored = self.store.data(f"{RELEASE}-{name}")
        return {key: base64.b64decode(value) for key, value in stored.items()}

    def look(self) -> TrustLook:
        statuses: Mapping[str, ProxyStatus | None] = {
            name: proxy.status(name) for name, proxy in self.proxies.items()
        }
        return asyncio.run(self.keeper.look(FleetTrust(statuses, self.head_key, self.requests)))

    def mount(self, name: str, *secrets: str) -> None:
        for secret in secrets or MOUNTED:
            self.proxies[name].mounts[secret] = self.secret(secret)

    def signing(self) -> list[str]:
        keys = signing_keys.load_private_keys(self.secret("signer").get("signing-keys.pem", b""))
        return [envelope.key_id(key.public_key()) for key in keys]

    def release_snapshot(self) -> None:
        """The operator seals what is released by the key in use, and pushes it to who answers."""
        self.head_key = self.signing()[0]
        for proxy in self.proxies.values():
            if proxy.answers:
                assert self.head_key in proxy.keys, "a proxy refuses the key in use"
                proxy.sealed_by = self.head_key

    def settle(self, rounds: int = 20) -> None:
        for _ in range(rounds):
            self.look()
            for name in self.proxies:
                self.mount(name)
            self.release_snapshot()

    def check(self) -> None:
        """Whoever is mounted at all believes the operator, and every peer."""
        authorities = split(self.secret("trust")["ca.crt"])
        sent = self.secret("tokens")["control-tokens"].decode().split()[0]
        for proxy in self.proxies.values():
            assert self.signing()[0] in proxy.keys
            assert sent in proxy.tokens
            shown = proxy.file("control", "tls.crt")
            assert believed(shown, authorities), "the operator does not believe a proxy"
            for peer in self.proxies.values():
                assert believed(shown, peer.authorities), "a proxy does not believe a peer"
                assert proxy.tokens[0] in peer.tokens, "a peer does not know a token"


def believed(certificate: bytes, authorities: list[bytes]) -> bool:
    found = x509.load_pem_x509_certificate(certificate)
    for each in authorities:
        try:
            found.verify_directly_issued_by(x509.load_pem_x509_certificate(each))
        except (ValueError, InvalidSignature):
            continue
        return True
    return False


@pytest.fixture
def world() -> World:
    made = World()
    made.settle(3)
    return made


def names(world: World) -> tuple[list[str], list[str], list[str]]:
    """What is held of each ring."""
    tokens = world.secret("tokens")["control-tokens"].decode().split()
    signer = world.secret("signer")
    held = [pair.digest for pair in pairs(signer["ca.crt"], signer["ca.key"])]
    return world.signing(), held, [token_digest(token) for token in tokens]


def test_empty_secrets_are_filled_at_the_first_look_without_any_proxy() -> None:
    world = World(proxies=0)
    look = world.look()
    assert set(look.changed) == set(SECRETS)
    assert (look.waiting, look.problems) == ((), ())
    assert look.webhook is not None
    assert [len(each) for each in names(world)] == [1, 1, 1]
    assert not {"signing-keys.pem", "ca.key", "ca.crt"} & world.secret("control").keys()
    assert b"PRIVATE" not in b"".join(world.secret("trust").values())


def test_what_is_filled_is_never_made_again(world: World) -> None:
    before, writes = names(world), world.store.writes
    world.keeper = world.new_keeper()
    assert world.look().changed == ()
    assert (names(world), world.store.writes) == (before, writes)


@pytest.mark.parametrize("ring", ["signer", "control", "tokens"])
def test_a_change_that_is_asked_for_ends_with_the_new_one_alone(world: World, ring: str) -> None:
    before = dict(zip(("signer", "control", "tokens"), names(world), strict=True))
    world.requests = {ring: "2026-06-01"}
    world.settle()
    after = dict(zip(("signer", "control", "tokens"), names(world), strict=True))
    for name, held in before.items():
        assert len(after[name]) == 1
        assert (after[name] == held) is (name != ring), name
    world.check()
    writes = world.store.writes
    world.settle(3)
    assert world.store.writes == writes, "the same request is honoured once"


@pytest.mark.parametrize("ring", ["signer", "control", "tokens"])
def test_nothing_is_switched_and_nothing_removed_while_one_proxy_does_not_answer(
    world: World, ring: str
) -> None:
    before = names(world)
    silent = world.proxies["proxy-1"]
    silent.answers = False
    world.requests = {ring: "now"}
    for _ in range(5):
        look = world.look()
        for name in ("proxy-0", "proxy-2"):
            world.mount(name)
        world.release_snapshot()
    assert any("proxy-1" in sentence for sentence in look.waiting)
    assert [each[0] for each in names(world)] == [each[0] for each in before]
    silent.answers = True
    world.settle()
    assert [len(each) for each in names(world)] == [1, 1, 1]
    assert names(world) != before


def test_nothing_is_switched_while_it_is_not_known_which_proxies_there_are(world: World) -> None:
    before = names(world)
    for _ in range(5):
        look = asyncio.run(
            world.keeper.look(FleetTrust(None, world.head_key, {"signer": "now", "tokens": "now"}))
        )
    assert len(look.waiting) == 2
    assert [each[0] for each in names(world)] == [each[0] for each in before]


def test_the_old_key_stays_until_what_is_released_is_sealed_by_the_new_one(world: World) -> None:
    old = world.signing()[0]
    world.requests = {"signer": "now"}
    for _ in range(6):
        world.look()
        for name in world.proxies:
            world.mount(name)
    assert world.signing()[1] == old
    assert any("released snapshot" in each for each in world.look().waiting)
    world.release_snapshot()
    world.settle(2)
    assert old not in world.signing()


@pytest.mark.parametrize("seed", range(16))
def test_at_no_moment_is_anybody_not_believed(seed: int) -> None:
    """Mounts change in any order and at any time; the operator is killed between any writes."""
    random_ = random.Random(seed)
    world = World(proxies=random_.randint(1, 3))
    world.settle(3)
    before = names(world)
    world.requests = dict.fromkeys(random_.sample(["signer", "control", "tokens"], 2), f"r{seed}")
    for _ in range(90):
        world.store.fail_after = world.store.writes + random_.randint(0, 1)
        try:
            world.look()
        except ApiError:
            world.keeper = world.new_keeper()
        world.store.fail_after = None
        world.check()
        name = random_.choice(list(world.proxies))
        world.proxies[name].answers = random_.random() < 0.9
        world.mount(name, random_.choice(MOUNTED))
        if random_.random() < 0.3:
            world.release_snapshot()
        world.check()
    for proxy in world.proxies.values():
        proxy.answers = True
    world.settle()
    world.check()
    rings = zip(("signer", "control", "tokens"), before, names(world), strict=True)
    for ring, old, new in rings:
        assert len(new) == 1
        assert (old != new) is (ring in world.requests), ring


def withdraw(world: World, leaked: str) -> None:
    """As docs/security.md tells: its block is taken out of the Secret that holds the keys."""
    name = f"{RELEASE}-signer"
    held = signing_keys.load_private_keys(world.secret("signer")["signing-keys.pem"])
    left = [key for key in held if envelope.key_id(key.public_key()) != leaked]
    pem = b"".join(signing_keys.private_pem(key) for key in left)
    encoded = base64.b64encode(pem).decode()
    world.store.put(name, world.store.data(name) | {"signing-keys.pem": encoded})


@pytest.mark.parametrize("looks", range(6))
def test_a_leaked_key_is_believed_by_nobody_after_one_look_however_far_its_change_is(
    world: World, looks: int
) -> None:
    """A proxy that does not answer holds a change up; a withdrawal waits for nobody."""
    leaked = world.signing()[0]
    world.requests = {"signer": "now"} if looks else {}
    for number in range(looks):
        world.look()
        for name in world.proxies:
            world.mount(name)
        if number > 2:
            world.release_snapshot()
    world.proxies["proxy-1"].answers = False
    withdraw(world, leaked)
    world.look()
    for name in world.proxies:
        world.mount(name)
        assert leaked not in world.proxies[name].keys
    assert leaked not in world.signing()
    world.release_snapshot()
    world.proxies["proxy-1"].answers = True
    world.settle()
    assert len(world.signing()) == 1
    assert world.head_key == world.signing()[0] != leaked
    world.check()


def test_a_key_that_is_taken_from_what_proxies_are_told_alone_comes_back(world: World) -> None:
    """The documentation says so: whoever withdraws a key there believes it gone."""
    name, shown = f"{RELEASE}-trust", world.secret("trust")["signing-keys.pem"]
    world.store.put(name, world.store.data(name) | {"signing-keys.pem": ""})
    world.look()
    assert world.secret("trust")["signing-keys.pem"] == shown


def test_an_authority_is_changed_and_certificates_are_renewed_ahead_of_their_end(
    world: World,
) -> None:
    first = names(world)[1]
    shown = world.secret("control")["tls.crt"]
    webhook = world.secret("webhook")
    while names(world)[1] == first:
        world.now += timedelta(days=10)
        assert world.now < NOW + timedelta(days=3 * 365), "it ended before it was changed"
        world.settle(8)
        world.check()
        for pem in (world.secret("control")["tls.crt"], world.secret("webhook")["tls.crt"]):
            left = x509.load_pem_x509_certificate(pem).not_valid_after_utc - world.now
            assert left > timedelta(days=25)
    assert world.secret("control")["tls.crt"] != shown
    world.settle(4)
    assert world.secret("webhook")["ca.crt"] != webhook["ca.crt"]
    assert len(split(world.secret("webhook")["ca.crt"])) == 1


def test_a_malformed_secret_is_told_left_as_it_is_and_takes_no_other_down(world: World) -> None:
    held = world.store.data(f"{RELEASE}-signer")
    world.store.put(f"{RELEASE}-signer", held | {"signing-keys.pem": "c2VjcmV0LXRoaW5n"})
    world.requests = {"tokens": "now"}
    before = names_of_tokens(world)
    look = world.look()
    assert len(look.problems) == 1
    assert "signer" in look.problems[0]
    assert "secret-thing" not in str(look)
    world.store.put(f"{RELEASE}-signer", world.store.data(f"{RELEASE}-signer"))
    for _ in range(8):
        world.look()
        for name in world.proxies:
            world.mount(name)
    assert names_of_tokens(world) != before
    assert world.store.data(f"{RELEASE}-signer")["signing-keys.pem"] == "c2VjcmV0LXRoaW5n"


def names_of_tokens(world: World) -> list[str]:
    return world.secret("tokens")["control-tokens"].decode().split()


def test_no_secret_is_shown_by_what_a_look_gives(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    world.requests = dict.fromkeys(("signer", "control", "tokens"), "now")
    shown = str([world.look() for _ in range(3)]) + caplog.text
    for value in names_of_tokens(world):
        assert value not in shown
    assert "PRIVATE" not in shown

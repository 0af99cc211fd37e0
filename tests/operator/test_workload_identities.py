"""What the cluster says of ServiceAccounts: forgotten when it must be, and kept when it may be."""

from typing import Any, cast

import pytest

from signalbox_operator.cluster import workload_identity
from signalbox_operator.cluster.api import ApiError, ClusterApi
from signalbox_operator.cluster.workload_identity import WorkloadIdentities
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.listing import Listing
from signalbox_operator.settings import read_settings
from support.workload_tokens import ISSUER, TokenIssuer, web_key

SIGNER = TokenIssuer("one")


class Cluster:
    """An API server's answers; what stands in `fails` is answered with that status."""

    def __init__(self) -> None:
        self.accounts = {"retail/support": "u-1", "retail/batch": "u-2"}
        self.fails: dict[str, int] = {}
        self.asked = 0

    async def get(self, path: str, accept: str = "") -> dict[str, Any]:
        self._answer("keys")
        return {"keys": [web_key(SIGNER)]} if accept else {"issuer": ISSUER}

    async def metadata(self, path: str, labels: str = "") -> Listing:
        self._answer("accounts")
        items = []
        for account, uid in self.accounts.items():
            namespace, _, name = account.partition("/")
            items.append({"namespace": namespace, "name": name, "uid": uid})
        return Listing(tuple(items), "9")

    def _answer(self, what: str) -> None:
        self.asked += 1
        if what in self.fails:
            raise ApiError(self.fails[what], f"{what} are not to be had")


class Looks:
    def __init__(self, *, enabled: bool = True) -> None:
        self.cluster = Cluster()
        self.changes = 0
        api = cast("ClusterApi", self.cluster)
        self.made = WorkloadIdentities(api, self._changed, enabled=enabled)

    def _changed(self) -> None:
        self.changes += 1

    @property
    def known(self) -> WorkloadIdentity | None:
        return self.made.known

    async def look(self, *, fails: bool = False) -> None:
        if not fails:
            await self.made.look()
            return
        with pytest.raises(ApiError):
            await self.made.look()


async def test_a_deleted_account_ends_though_the_keys_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workload_identity, "KEYS_S", 0.0)
    looks = Looks()
    await looks.look()
    before = looks.known
    del looks.cluster.accounts["retail/batch"]
    looks.cluster.fails = {"keys": 503}
    await looks.look(fails=True)
    assert before is not None
    assert looks.known is not None
    assert looks.known.accounts == {"retail/support": "u-1"}
    assert looks.known.issuers == before.issuers


async def test_switched_off_there_are_none_and_nobody_is_asked() -> None:
    looks = Looks(enabled=False)
    await looks.look()
    assert looks.known == WorkloadIdentity()
    assert looks.cluster.asked == 0


@pytest.mark.parametrize("what", ["accounts", "keys"])
async def test_a_right_that_was_taken_away_ends_them_after_a_while(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(workload_identity, "KEYS_S", 0.0)
    looks = Looks()
    await looks.look()
    before = looks.known
    looks.cluster.fails = {what: 403}
    for _ in range(10):
        await looks.look(fails=True)
    assert looks.known == before
    monkeypatch.setattr(workload_identity, "GIVE_UP_S", 0.0)
    await looks.look(fails=True)
    assert looks.known == WorkloadIdentity()
    looks.cluster.fails = {}
    await looks.look()
    assert looks.known == before
    assert looks.changes == 3


async def test_an_api_server_that_does_not_answer_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workload_identity, "GIVE_UP_S", 0.0)
    looks = Looks()
    await looks.look()
    before = looks.known
    looks.cluster.fails = {"accounts": 0, "keys": 0}
    for _ in range(10):
        await looks.look(fails=True)
    assert looks.known == before


async def test_who_may_not_read_them_at_the_start_has_none_after_some_tries() -> None:
    looks = Looks()
    looks.cluster.fails = {"accounts": 403, "keys": 403}
    for _ in range(workload_identity.REFUSALS - 1):
        await looks.look(fails=True)
        assert looks.known is None
    await looks.look(fails=True)
    assert looks.known == WorkloadIdentity()


def test_the_flag_switches_it() -> None:
    def switched(*flags: str) -> bool:
        return read_settings(["--namespace", "n", *flags], {}).workload_identity

    assert switched()
    assert switched("--workload-identity=true")
    assert not switched("--workload-identity=false")
    assert not read_settings(
        ["--namespace", "n"], {"SIGNALBOX_WORKLOAD_IDENTITY": "false"}
    ).workload_identity
    with pytest.raises(SystemExit):
        switched("--workload-identity=maybe")

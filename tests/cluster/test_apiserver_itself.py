"""The API server that the other tests of this folder lean on: rights, restarts, outages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import ApiServer
from support.kube_client import KubeError


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One that nobody else has: what happens to it happens to nobody else."""
    with ApiServer(tmp_path_factory.mktemp("own")) as server:
        yield server


def _note(namespace: str, text: str) -> dict[str, Any]:
    meta = {"name": "note", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": text}}


def test_a_user_has_the_rights_that_it_was_given_and_no_other(own: ApiServer) -> None:
    with own.namespace() as here, own.namespace() as elsewhere:
        user = own.account(here, "deployer", ["budgets"])
        assert user.kube.get("Budget", here)["items"] == []
        for kind, namespace in (("Budget", elsewhere), ("Agent", here), ("Secret", here)):
            with pytest.raises(KubeError) as refused:
                user.kube.get(kind, namespace)
            assert refused.value.reason == "Forbidden"
            assert user.user in refused.value.message
        can = ("auth", "can-i", "--quiet", "delete", "budgets.signalbox.dev")
        own.kubectl(*can, "-n", here, kubeconfig=user.kubeconfig)
        own.kubectl(*can, "-n", elsewhere, kubeconfig=user.kubeconfig, code=1)


def test_what_was_stored_survives_the_death_of_both(own: ApiServer) -> None:
    with own.namespace() as namespace:
        own.admin.create(_note(namespace, "before"))
        own.apiserver.kill()
        with pytest.raises(OSError, match="refused"):
            own.admin.get("ConfigMap", namespace, "note")
        own.etcd.kill()
        own.etcd.start()
        own.apiserver.start()
        own.wait_ready()
        assert own.admin.get("ConfigMap", namespace, "note")["data"] == {"text": "before"}


def test_a_stale_writer_is_told_so(own: ApiServer) -> None:
    """The compare-and-swap that the head of a fleet stands on."""
    with own.namespace() as namespace:
        first = own.admin.create(_note(namespace, "first"))
        own.admin.replace(first | {"data": {"text": "second"}})
        with pytest.raises(KubeError) as refused:
            own.admin.replace(first | {"data": {"text": "third"}})
        assert (refused.value.status, refused.value.reason) == (409, "Conflict")
        assert own.admin.get("ConfigMap", namespace, "note")["data"] == {"text": "second"}


def _read_from_the_store(own: ApiServer) -> None:
    """A single object is read from the store itself; readiness may be what was known before."""
    own.admin.call("GET", "/api/v1/namespaces/default?timeout=2s")


def test_a_paused_store_answers_again_when_it_goes_on(own: ApiServer) -> None:
    with own.namespace() as namespace:
        with own.etcd.paused(), pytest.raises((KubeError, OSError)):
            _read_from_the_store(own)
        own.wait_ready()
        own.admin.create(_note(namespace, "after"))


def test_a_kubeconfig_is_readable_by_its_owner_alone(own: ApiServer, tmp_path: Path) -> None:
    assert own.kubeconfig.stat().st_mode & 0o077 == 0
    assert own.admin.kubeconfig(tmp_path / "copy").stat().st_mode & 0o077 == 0

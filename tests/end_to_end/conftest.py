"""Tests in a cluster that runs pods: `make cluster` or `make kind` start them, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.real_cluster import PLATFORM, Cluster
from support.running import QUICKSTART

collect_ignore_glob = [] if "SIGNALBOX_IMAGE" in os.environ else ["test_*.py"]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that the environment names."""
    return Cluster.of_environment()


@pytest.fixture(scope="module")
def empty_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """With the namespaces of the quickstart, and no release in them."""
    for name in (PLATFORM, "retail", "wealth"):
        cluster.namespace(name)
    yield cluster
    releases = cluster.helm("list", "--all-namespaces", "--short").split()
    for name in releases:
        cluster.helm("uninstall", name, "--namespace", PLATFORM, "--wait", "--timeout", "300s")
    cluster.kubectl("delete", "namespace", PLATFORM, "retail", "wealth", "--timeout=300s")


@pytest.fixture(scope="module")
def packed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both charts as archives, as people get them."""
    folder = tmp_path_factory.mktemp("charts")
    return {name: cluster.packed(name, folder) for name in ("signalbox-crds", "signalbox")}


@pytest.fixture(scope="session")
def quickstart() -> Path:
    """The same manifests that `make run` serves."""
    return QUICKSTART

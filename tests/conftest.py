"""What every area may use: one PostgreSQL server, and one Kubernetes API server, for all tests of a
session.

Property tests are not timed: on a machine that is shared or slow an example of a millisecond may
take half a second, which says nothing about the property.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.apiserver import ApiServer
from support.postgres import PostgresServer, require_postgres

if os.environ.get("CI") != "true":  # there Hypothesis has a profile of its own, untimed too
    settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that tests share and none may stop: who wants to, starts one of their own."""
    require_postgres()
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """Where an empty database is that this test alone uses, as the role that owns it."""
    name = postgres_server.create_database()
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that tests share, with the CRDs installed. Who kills it, or etcd, starts it
    again and waits until it is ready; who changes its CRDs starts one of their own."""
    with ApiServer(tmp_path_factory.mktemp("apiserver")) as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> Iterator[str]:
    """A namespace of this test's own, whose Signalbox objects go with it."""
    with apiserver.namespace() as name:
        yield name

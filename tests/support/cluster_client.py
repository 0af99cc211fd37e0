"""The operator's own client of an API server, for a user of a test's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio import client, config

from signalbox_operator.cluster.api import ClusterApi


@asynccontextmanager
async def api_of(kubeconfig: Path) -> AsyncIterator[ClusterApi]:
    """Calls as the user of a kubeconfig."""
    configuration = client.Configuration()
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    configuration.retries = None
    async with client.ApiClient(configuration) as made:
        yield ClusterApi(made)

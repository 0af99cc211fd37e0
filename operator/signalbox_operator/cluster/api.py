"""The API server as the operator calls it: every call with a deadline, plain data in and out.

The Kubernetes client brings configuration, credentials and TLS; paths and bodies are those of the
Kubernetes API conventions. A failed call is an `ApiError` with the HTTP status that the server
gave, 0 where it gave none. No error quotes the body of a Secret.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from signalbox_api.base import GROUP, VERSION
from signalbox_operator.listing import Listing, Stub

FIELD_MANAGER: Final = "signalbox-operator"
CALL_TIMEOUT_S: Final = 20.0
PAGE: Final = 500

_JSON: Final = "application/json"
_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MAX_MESSAGE: Final = 512
_MISSING, _CONFLICT, _EXPIRED, _FAULT = 404, 409, 410, 400

Object = dict[str, Any]


class ApiError(Exception):
    """A call that failed. `status` is the server's HTTP status, 0 where it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})" if status else message)
        self.status = status

    @property
    def is_missing(self) -> bool:
        """There is no such object, or no such kind."""
        return self.status == _MISSING

    @property
    def is_conflict(self) -> bool:
        """It exists already, or has changed since it was read."""
        return self.status == _CONFLICT


def custom(plural: str, namespace: str = "", name: str = "") -> str:
    """The path of Signalbox's own objects: all, those of a namespace, or one."""
    return _path(f"/apis/{GROUP}/{VERSION}", plural, namespace, name)


def core(plural: str, namespace: str = "", name: str = "") -> str:
    """The path of objects of the core group."""
    return _path("/api/v1", plural, namespace, name)


def endpoint_slices(namespace: str) -> str:
    """The path of a namespace's EndpointSlices."""
    return _path("/apis/discovery.k8s.io/v1", "endpointslices", namespace, "")


def _path(group: str, plural: str, namespace: str, name: str) -> str:
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{inside}/{plural}" + (f"/{name}" if name else "")


class ClusterApi:
    """Calls to one API server. `connected` makes one."""

    def __init__(self, client_: client.ApiClient) -> None:
        self._client = client_

    async def get(self, path: str, *, accept: str = _JSON) -> Object:
        """One object. Raises ApiError, `is_missing` where there is none."""
        return await self._call("GET", path, accept=accept)

    async def create(self, path: str, body: Object) -> Object:
        """Creates an object. Raises ApiError, `is_conflict` where it exists."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replaces an object; with a resourceVersion in it, only that version of it.

        Raises ApiError, `is_conflict` where it has changed.
        """
        return await self._call("PUT", path, body=body)

    async def merge(self, path: str, body: Object) -> Object:
        """Changes the fields that stand in `body` (RFC 7386)."""
        return await self._call("PATCH", path, body=body, content=_MERGE)

    async def apply(self, path: str, body: Object) -> Object:
        """Server-side apply: the object has these fields, and they are the operator's."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call("PATCH", path, body=body, content=_APPLY, query=query)

    async def patch_status(self, path: str, status: Object, *, uid: str = "") -> Object:
        """Changes the fields of an object's status that stand in `status`; None removes one.

        With a `uid` only of that very object: ApiError, `is_conflict`, where the name stands for
        another one now.
        """
        query = {"fieldManager": FIELD_MANAGER}
        body: Object = {"status": status} | ({"metadata": {"uid": uid}} if uid else {})
        return await self._call("PATCH", f"{path}/status", body=body, content=_MERGE, query=query)

    async def delete(self, path: str, *, resource_version: str = "") -> None:
        """Deletes an object, with a resourceVersion only that version of it; gone is well."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if resource_version:
            body["preconditions"] = {"resourceVersion": resource_version}
        try:
            await self._call("DELETE", path, body=body)
        except ApiError as error:
            if not error.is_missing:
                raise

    async def list(self, path: str, *, labels: str = "") -> Listing[Object]:
        """All objects at a path, page by page, as of one resourceVersion.

        A list that takes longer than the server remembers it (410) begins anew.
        """
        try:
            return await self._listed(path, labels, _JSON)
        except ApiError as error:
            if error.status != _EXPIRED:
                raise
        return await self._listed(path, labels, _JSON)

    async def list_metadata(self, path: str) -> Listing[Stub]:
        """Names and versions of all objects at a path, without their content."""
        listed = await self.metadata(path)
        stubs = tuple(Stub.of(item) for item in listed.items)
        return Listing(stubs, listed.resource_version)

    async def metadata(self, path: str, *, labels: str = "") -> Listing[Object]:
        """The metadata of all objects at a path, labels and annotations included."""
        listed = await self._listed(path, labels, _METADATA)
        return Listing(tuple(item["metadata"] for item in listed.items), listed.resource_version)

    async def _listed(self, path: str, labels: str, accept: str) -> Listing[Object]:
        items: list[Object] = []
        query = {"limit": str(PAGE)} | ({"labelSelector": labels} if labels else {})
        while True:
            page = await self._call("GET", path, query=query, accept=accept)
            items += page.get("items") or ()
            metadata = page.get("metadata") or {}
            follow = metadata.get("continue")
            if not follow:
                return Listing(tuple(items), str(metadata.get("resourceVersion", "")))
            query["continue"] = follow

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        content: str = _JSON,
        query: Mapping[str, str] | None = None,
        accept: str = _JSON,
    ) -> Object:
        headers = {"Accept": accept, "Content-Type": content}
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                _, url, headers, sent, _ = await self._client.param_serialize(
                    method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
                )
                address = f"{url}?{urlencode(query)}" if query else url
                answer = await self._client.call_api(
                    method, address, headers, sent, _request_timeout=CALL_TIMEOUT_S
                )
                data = await answer.read()  # type: ignore[no-untyped-call]
        except ApiException as error:
            raise ApiError(error.status or 0, f"{method} {path}: {error.reason}") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiError(0, f"{method} {path}: {type(error).__name__} {error}") from None
        return _decoded(method, path, answer.status, data)


def _decoded(method: str, path: str, status: int, data: bytes) -> Object:
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        raise ApiError(status, f"{method} {path}: the answer is no object")
    if status >= _FAULT:
        message = str(document.get("message", ""))[:_MAX_MESSAGE]
        raise ApiError(status, f"{method} {path}: {message}")
    return document


@asynccontextmanager
async def connected(kubeconfig: str | None = None) -> AsyncIterator[ClusterApi]:
    """An API server: that of the pod this runs in, otherwise that of a kubeconfig, which is found
    by KUBECONFIG where none is named."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
    configuration.retries = None
    async with client.ApiClient(configuration) as made:
        yield ClusterApi(made)

"""Azure OpenAI's paths: OpenAI's own below ``/openai/v1``, and those by deployment.

Written from Microsoft's "Azure OpenAI in Foundry Models REST API reference".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from .refusals import Refusal
from .surface import Context, Pending, Surface

VERSION = re.compile(r"^20[0-9]{2}-[01][0-9]-[0-3][0-9](-preview)?$")
DEPLOYMENT = re.compile(r"^/openai/deployments/([^/]+)(/.*)$")
CURRENT = "/openai/v1"


def plain_path(path: str, query: Mapping[str, str]) -> str:
    """Give OpenAI's path for one of Azure's, "" for none; raises Refusal without api-version."""
    if path.startswith(CURRENT + "/"):
        return "/v1" + path.removeprefix(CURRENT)
    found = DEPLOYMENT.match(path)
    if found is None:
        return ""
    if not VERSION.match(query.get("api-version", "")):
        raise Refusal(404, "Resource not found", code="404")
    return "/v1" + found[2]


def deployment_of(path: str, surface: Surface) -> Surface:
    """Give the surface with the model that the path names, where it names one."""
    found = DEPLOYMENT.match(path)
    return Deployment(unquote(found[1]), surface) if found else surface


@dataclass(frozen=True)
class Deployment:
    """A surface whose model stands in the path, whatever the body says."""

    model: str
    surface: Surface

    @property
    def stream_type(self) -> str:
        """The content type of its streams."""
        return self.surface.stream_type

    def read(self, document: dict[str, object], context: Context) -> Pending:
        """Validate and meter a request; raises Refusal."""
        return self.surface.read({**document, "model": self.model}, context)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give the body of an error answer."""
        return self.surface.error(refusal, request_id)

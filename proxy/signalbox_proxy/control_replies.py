"""How the control port answers: JSON."""

import msgspec
from aiohttp import web


def control_json(document: object, status: int = 200) -> web.Response:
    """A document as an answer."""
    return web.Response(
        body=msgspec.json.encode(document), status=status, content_type="application/json"
    )

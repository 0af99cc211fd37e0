"""A lane of OpenAI's format at nobody in particular, changed as a test needs it."""

from typing import Any

from signalbox_snapshot.snapshot import Lane


def acme_lane(**changes: Any) -> Lane:
    given: dict[str, Any] = {
        "name": "us",
        "lane_class": "public",
        "provider": "acme",
        "wire_format": "openai",
        "upstream_model": "acme-large-2",
        "endpoint": "https://api.acme.example/v1",
        "auth": "apiKey",
        "auth_key": "acme",
        "region": "us-east",
        "jurisdiction": "US",
        "max_sensitivity": 2,
        "list_price": None,
        "price": None,
    }
    return Lane(**(given | changes))

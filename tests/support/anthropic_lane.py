"""A lane that speaks Anthropic's format."""

from signalbox_snapshot.snapshot import Lane

LANE = Lane(
    name="us",
    lane_class="public",
    provider="anthropic",
    wire_format="anthropic",
    upstream_model="claude-opus-4-7",
    endpoint="https://api.anthropic.com",
    auth="apiKey",
    auth_key="anthropic",
    region="us-east",
    jurisdiction="US",
    max_sensitivity=2,
    list_price=None,
    price=None,
)

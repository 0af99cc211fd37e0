"""The formats that can be translated: one line for each, whichever pairs they make.

A client format is registered by the name of its surface, a provider format by its wire format. A
surface that is not here speaks to lanes of its own format only; likewise a lane.
"""

from collections.abc import Mapping
from typing import Final

from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.translation.anthropic_client import ANTHROPIC_CLIENT
from signalbox_proxy.translation.anthropic_provider import ANTHROPIC
from signalbox_proxy.translation.bedrock_provider import BEDROCK
from signalbox_proxy.translation.contract import ClientFormat, ProviderFormat
from signalbox_proxy.translation.gemini_provider import GEMINI
from signalbox_proxy.translation.openai_client import CHAT_CLIENT
from signalbox_proxy.translation.openai_provider import OPENAI
from signalbox_proxy.translation.responses_client import RESPONSES_CLIENT
from signalbox_snapshot.snapshot import WireFormat

CLIENT_FORMATS: Final[Mapping[SurfaceName, ClientFormat]] = {
    "chat": CHAT_CLIENT,
    "messages": ANTHROPIC_CLIENT,
    "responses": RESPONSES_CLIENT,
}
"""How clients ask, by surface."""

PROVIDER_FORMATS: Final[Mapping[WireFormat, ProviderFormat]] = {
    "anthropic": ANTHROPIC,
    "bedrock": BEDROCK,
    "gemini": GEMINI,
    "openai": OPENAI,
}
"""How providers are asked, by wire format."""

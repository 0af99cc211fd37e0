"""The formats that can be translated: one line for each, whichever pairs they make.

A client format is registered by the name of its surface, a provider format by its wire format. A
surface that is not here speaks to lanes of its own format only; likewise a lane.
"""

from collections.abc import Mapping
from typing import Final

from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.translation.bedrock_provider import BEDROCK
from signalbox_proxy.translation.contract import ClientFormat, ProviderFormat
from signalbox_proxy.translation.gemini_provider import GEMINI
from signalbox_snapshot.snapshot import WireFormat

CLIENT_FORMATS: Final[Mapping[SurfaceName, ClientFormat]] = {}
"""How clients ask, by surface."""

PROVIDER_FORMATS: Final[Mapping[WireFormat, ProviderFormat]] = {
    "bedrock": BEDROCK,
    "gemini": GEMINI,
}
"""How providers are asked, by wire format."""

"""What to write where a pattern was not met: a hint for every pattern that a spec uses."""

from collections.abc import Mapping
from typing import Final

from signalbox_api import data_asset, scalars

_WORD: Final = "write at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends"

PATTERN_HINTS: Final[Mapping[str, str]] = {
    scalars.LABEL_PATTERN: "write at most 63 lower-case letters, digits and '-', such as team-a",
    scalars.REF_PATTERN: "write the name of the object, or namespace/name, in lower case",
    scalars.WORD_PATTERN: _WORD,
    scalars.MODEL_PATTERN: "write the name of a model, such as gpt-4.1-mini, without spaces",
    scalars.TOOL_PATTERN: "write the name of a tool, such as get_quote, without spaces",
    scalars.ENDPOINT_PATTERN: (
        "write a URL such as https://api.example.com/v1, without user, query or fragment"
    ),
    scalars.AWS_ROLE_PATTERN: (
        "write the ARN of a role, such as arn:aws:iam::123456789012:role/models"
    ),
    scalars.SERVICE_ACCOUNT_PATTERN: (
        "write a service account's address, such as models@project.iam.gserviceaccount.com"
    ),
    scalars.GRANT_SCOPE_PATTERN: (
        "write a scope, such as https://cognitiveservices.azure.com/.default"
    ),
    scalars.TEXT_PATTERN: "write it in one line",
    scalars.SHA256_PATTERN: "write the 64 hexadecimal digits that `signalbox key` printed",
    scalars.LOOKUP_PATTERN: "write the 16 hexadecimal digits that `signalbox key adopt` printed",
    scalars.USD_PATTERN: 'write US dollars with at most nine decimals, such as "0.20"',
    scalars.PRICE_PATTERN: 'write USD per million tokens, at most nine decimals, such as "0.30"',
    scalars.FACTOR_PATTERN: 'write a factor below 1000, at most six decimals, such as "0.5"',
    scalars.SHARE_PATTERN: 'write a number from 0 to 1, at most six decimals, such as "0.88"',
    scalars.RETENTION_PATTERN: "write a number and d, w or y, such as 90d or 7y",
    scalars.TIME_ZONE_PATTERN: "write an IANA time zone such as UTC or Europe/Berlin",
    data_asset.LOCATION_PATTERN: "write a place such as eu-central-1, without spaces",
}

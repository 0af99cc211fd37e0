"""The signers there are: one line for each `Lane.auth` that signs in."""

from collections.abc import Mapping
from typing import Final

from signalbox_proxy.signin.aws import AwsSigner
from signalbox_proxy.signin.azure import AzureSigner
from signalbox_proxy.signin.contract import SignerFactory
from signalbox_proxy.signin.google import GoogleSigner

SIGNERS: Final[Mapping[str, SignerFactory]] = {
    "aws": AwsSigner,
    "azure": AzureSigner,
    "google": GoogleSigner,
}
"""By `Lane.auth`."""

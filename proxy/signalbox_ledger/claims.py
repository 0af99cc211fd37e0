"""What a request claims of accounts, and the hold that it got."""

from dataclasses import dataclass

import msgspec

from signalbox_ledger.records import HoldPart

Key = tuple[str, str]
"""Budget and subject."""


class Claim(msgspec.Struct, frozen=True):
    """What one attempt may cost one account, in its unit. Subject "" is the shared account.

    `agent` is who asks, for accounts that a request may open.
    """

    budget: str
    subject: str
    amount: int
    agent: str = ""


@dataclass(slots=True, eq=False)
class Hold:
    """What was taken for one attempt. `claims` tells which claim each part belongs to, in order."""

    parts: tuple[HoldPart, ...]
    claims: tuple[int, ...]
    is_open: bool = True

"""What the next draw of a proxy asks for: the holds that wait, and slices ahead of need.

Pure: the drawer, and a simulation of a fleet, bring clock and network.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.holder import ENDLESS, Claim, HeldAccount, Holdings, Key
from signalbox_ledger.protocol import DrawItem

BATCH = 1_000
"""Claims, and accounts drawn ahead, of one draw: with the longest names they fit into a frame."""

_NEXT_WINDOW_S = 2
_SHORT_WINDOW_S = 30


class DrawOrders:
    """Numbers slices, remembers which accounts want one ahead."""

    def __init__(self, holdings: Holdings, holder: str) -> None:
        self.specs: Mapping[str, BudgetSpec] = {}
        self._holdings = holdings
        self._holder = holder
        self._ahead: dict[tuple[Key, bool], HeldAccount] = {}
        self._numbered = 0

    @property
    def is_empty(self) -> bool:
        """Whether no slice is wanted ahead of need."""
        return not self._ahead

    def look_ahead(self, now: int) -> None:
        """Once a second: order slices for accounts that would last less than three quarters of
        what they should. One transaction draws for several: who is near that is ordered with it."""
        near: list[HeldAccount] = []
        for account in self._holdings.shared.values():
            account.measure()
            if account.coming is not None and account.coming[0] <= now:
                account.window, account.figures = account.coming
                account.coming = None
                account.spent_since = 0
            ahead = account.ahead
            if ahead == 0 or now >= account.idle_after():
                continue
            free = account.free_at(now)
            if free * 4 < ahead * 3:
                self._ahead[(account.budget, account.subject), False] = account
            elif free * 8 < ahead * 7:
                near.append(account)
            if _window_ends(account, now):
                self._ahead[(account.budget, account.subject), True] = account
        if self._ahead:
            for account in near:
                self._ahead[(account.budget, account.subject), False] = account

    def next(
        self, asked: Iterable[Sequence[Claim]], now: int
    ) -> tuple[list[HeldAccount], list[DrawItem]]:
        """The items of one draw, with the account of each."""
        needs: dict[Key, list[int]] = {}
        agents: dict[Key, str] = {}
        for claims in asked:
            for claim in claims:
                if claim.amount:
                    key = claim.budget, claim.subject
                    needs.setdefault(key, []).append(claim.amount)
                    agents.setdefault(key, claim.agent)
        ahead = dict(itertools.islice(self._ahead.items(), BATCH))
        for order in ahead:
            del self._ahead[order]
        accounts: list[HeldAccount] = []
        items: list[DrawItem] = []
        for key, amounts in needs.items():
            account = self._account(key)
            ahead.pop((key, False), None)
            account.used_at = now
            accounts.append(account)
            items.append(self._item(account, amounts, account.free_at(now), agent=agents[key]))
        for (_, upcoming), account in ahead.items():
            accounts.append(account)
            free = 0 if upcoming else account.free_at(now)
            items.append(self._item(account, [], free, upcoming=upcoming))
        return accounts, items

    def _item(
        self,
        account: HeldAccount,
        needs: list[int],
        free: int,
        *,
        agent: str = "",
        upcoming: bool = False,
    ) -> DrawItem:
        self._numbered += 1
        spec = self.specs.get(account.budget)
        return DrawItem(
            slice_id=f"{self._holder}.{self._numbered}",
            budget=account.budget,
            subject=account.subject,
            needs=needs,
            free=free,
            want=max(0, account.ahead - free),
            basis=spec.basis if spec is not None else "",
            upcoming=upcoming,
            agent=agent,
        )

    def _account(self, key: Key) -> HeldAccount:
        spec = self.specs.get(key[0])
        exact = spec is not None and spec.per is not None and key[1] != ""
        return self._holdings.account(*key, exact=exact)


def _window_ends(account: HeldAccount, now: int) -> bool:
    """Whether the next window is near, and nothing was drawn for it."""
    start = max((held.start for held in account.slices), default=0)
    end = max((held.end for held in account.slices), default=ENDLESS)
    return end - start > _SHORT_WINDOW_S and start <= now and end - now <= _NEXT_WINDOW_S

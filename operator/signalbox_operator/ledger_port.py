"""What proxies tell of the ledger: accounts, and who holds slices. The operator's only way to it.

Any ready proxy will do, because all of them ask one database; where one fails or is silent, the
next is asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from signalbox_operator.account_facts import Accounts, decoded
from signalbox_operator.control_port import Answer, ControlPort, ProxyAddress, Unreachable

ACCOUNTS_PATH: Final = "/control/v1/accounts"
HOLDERS_PATH: Final = "/control/v1/holders"
LOST_PATH: Final = "/control/v1/lost"
DEADLINE_S: Final = 6.0
"""How long one proxy may take to answer at all."""

NEXT_S: Final = 1.0
"""How long one proxy may be silent before the next is asked as well."""

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_FAILED: Final = 500
_TOLD: Final = frozenset({_OK, _NOT_MODIFIED})


class Holder(msgspec.Struct, frozen=True):
    """One incarnation of a proxy, as the ledger knows it. live: heard of within half a minute;
    fenced: taken to be gone, and refused."""

    holder: str
    name: str
    state: str
    slices: int = 0


class _Holders(msgspec.Struct, frozen=True):
    holders: Annotated[tuple[Holder, ...], msgspec.Meta(max_length=10_000)]


_HOLDERS: Final = msgspec.json.Decoder(_Holders)


class LedgerUnreachableError(Exception):
    """No proxy told; the message says what the last one said."""


@dataclass(slots=True)
class LedgerPort:
    """Asks proxies, beginning with the one that answered last. Raises LedgerUnreachableError."""

    _last: str = ""
    _tag: str = ""
    _known: Accounts | None = None

    async def accounts(
        self, control: ControlPort, proxies: Sequence[ProxyAddress]
    ) -> tuple[Accounts, bool]:
        """How all budgets stand, and whether that is news."""
        answer = await self._asked(control, proxies, ACCOUNTS_PATH, tag=self._tag)
        if answer.status == _NOT_MODIFIED and self._known is not None:
            return self._known, False
        try:
            self._known = decoded(answer.body)
        except ValueError as error:
            raise LedgerUnreachableError(f"{self._last}: {error}") from error
        self._tag = answer.tag
        return self._known, True

    async def holders(
        self, control: ControlPort, proxies: Sequence[ProxyAddress]
    ) -> tuple[Holder, ...]:
        """Every incarnation of a proxy that is not forgotten yet."""
        answer = await self._asked(control, proxies, HOLDERS_PATH)
        try:
            return _HOLDERS.decode(answer.body).holders
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise LedgerUnreachableError(f"{self._last}: {error}") from error

    async def give_up(
        self, control: ControlPort, proxies: Sequence[ProxyAddress], holder: str, by: str
    ) -> bool:
        """Says that a holder is gone with its journal; whether that was taken."""
        order = msgspec.json.encode({"holder": holder, "by": by})
        return (await self._asked(control, proxies, LOST_PATH, order=order)).status == _OK

    async def _asked(
        self,
        control: ControlPort,
        proxies: Sequence[ProxyAddress],
        path: str,
        *,
        order: bytes | None = None,
        tag: str = "",
    ) -> Answer:
        """What the first proxy that can tell answers.

        While one is silent the next is asked beside it; not so for an order, which one of them is
        to carry out.
        """
        said = "there is no proxy"
        waiting = sorted(proxies, key=lambda each: each.name != self._last)
        asking: set[asyncio.Task[Answer | Unreachable]] = set()
        try:
            while waiting or asking:
                if waiting:
                    proxy = waiting.pop(0)
                    own_tag = tag if proxy.name == self._last else ""
                    work = _ask(control, proxy, path, order, own_tag)
                    asking.add(asyncio.create_task(work, name=proxy.name))
                done, asking = await asyncio.wait(
                    asking,
                    timeout=NEXT_S if waiting and order is None else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    answer = task.result()
                    if isinstance(answer, Unreachable):
                        said = f"{answer.proxy}: {answer.reason}"
                    elif answer.status in _TOLD or (order is not None and answer.status < _FAILED):
                        self._last = task.get_name()
                        return answer
                    else:
                        said = f"{task.get_name()}: HTTP {answer.status}"
        finally:
            for task in asking:
                task.cancel()
        raise LedgerUnreachableError(said)


async def _ask(
    control: ControlPort, proxy: ProxyAddress, path: str, order: bytes | None, tag: str
) -> Answer | Unreachable:
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await control.ask(proxy, path, order=order, tag=tag)
    except TimeoutError:
        return Unreachable(proxy.name, f"no answer within {DEADLINE_S:.0f} s")

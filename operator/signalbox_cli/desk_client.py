"""How commands order something of the authority: over its socket, named by who orders it."""

import asyncio
import getpass
import os
import socket
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

from signalbox_cli.failure import Failure
from signalbox_cli.options import socket_option, state_option
from signalbox_cli.state import StateFolder
from signalbox_cli.terminal import err
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest, Describe, Description
from signalbox_ledger.protocol import Refused

ANSWER_S: Final = 600.0
"""How long an order may take: sums over a whole ledger are the longest."""

Answer = TypeVar("Answer")


class Desk:
    """The authority as people ask it: at `socket` where one is named, else of a state folder."""

    def __init__(self, state: Path, socket: Path | None = None) -> None:
        self._socket = socket or StateFolder.at(state).authority_socket

    def ask(self, request: AnyRequest, answer: type[Answer]) -> Answer:
        """One request. Raises Failure where nobody answers, or the answer is a refusal."""
        return self.ask_all([request], answer)[0]

    def ask_all(self, requests: Sequence[AnyRequest], answer: type[Answer]) -> list[Answer]:
        """Requests one after the other on one connection."""
        try:
            replies = asyncio.run(self._ask_all(requests))
        except LedgerUnavailableError as error:
            raise Failure(
                f"{error}; start `signalbox up`, or name its folder with --state; in a cluster run"
                " this in the container `ledger` of a proxy's pod (docs/operations.md)"
            ) from None
        found: list[Answer] = []
        for reply in replies:
            if isinstance(reply, Refused):
                raise Failure(f"the authority refuses: {reply.message}")
            if not isinstance(reply, answer):
                raise Failure(
                    f"the authority answers {type(reply).__name__}; is it of this release?"
                )
            found.append(reply)
        return found

    async def _ask_all(self, requests: Sequence[AnyRequest]) -> list[AnyReply]:
        async with connected(self._socket, answer_s=ANSWER_S) as ask:
            return [await ask(request) for request in requests]


def desk_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say where the authority is; the command gets it as `desk`."""

    @wraps(function)
    def with_desk(*args: Any, state: Path, socket: Path | None, **options: Any) -> None:
        function(*args, desk=Desk(state, socket), **options)

    return state_option(socket_option(with_desk))


def who() -> str:
    """Who orders it, for the record: the user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:256]


def warn(state: Path) -> None:
    """Says on standard error, in a line each, what waits for a person; nothing where nobody
    answers."""
    try:
        told = Desk(state).ask(Describe(), Description)
    except Failure:
        return
    console = err()
    if told.frozen:
        said = f"warning: draws are frozen: {told.frozen}; see `signalbox ledger status`"
        console.print(said, style="red", soft_wrap=True, markup=False)
    if told.refused:
        said = f"warning: refused records wait ({told.refused:,}); see `signalbox ledger refused`"
        console.print(said, style="yellow", soft_wrap=True, markup=False)

"""The simulator's bill: a JSON line per billed answer, durable before the answer's last byte.

``python -m signalbox_simulator.bill FILE`` prints totals by host and model and the grand total.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from .sheet import PICO_PER_USD

_NEWLINE = b"\n"


@dataclass
class Bill:
    """The append-only file; with ``durable``, lines that come together share one fdatasync."""

    path: Path
    durable: bool = True
    _descriptor: int = field(init=False)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)
    _flusher: asyncio.Task[None] | None = None
    lines: int = 0

    def __post_init__(self) -> None:
        _drop_torn_line(self.path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        if self.durable:
            _sync_directory(self.path.parent)

    async def post(self, line: dict[str, object]) -> None:
        """Append a line and return once it is durable; raises OSError where that fails."""
        data = msgspec.json.encode(line) + _NEWLINE
        if os.write(self._descriptor, data) != len(data):
            raise OSError("the bill took only a part of a line")
        self.lines += 1
        if not self.durable:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await asyncio.shield(waiter)

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(os.fdatasync, self._descriptor)
            except OSError as error:
                for waiter in batch:
                    waiter.set_exception(error)
            else:
                for waiter in batch:
                    if not waiter.done():
                        waiter.set_result(None)

    def close(self) -> None:
        """Make the file durable and close it."""
        if self.durable:
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def _drop_torn_line(path: Path) -> None:
    """Cut a line that a crash left unfinished; its answer had not ended, so nobody owes it."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            step = min(4096, position)
            file.seek(position - step)
            newline = file.read(step).rfind(_NEWLINE)
            if newline >= 0:
                file.truncate(position - step + newline + 1)
                return
            position -= step
        file.truncate(0)


def _sync_directory(path: Path) -> None:
    """Make a new file's name durable, without which its lines are not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[dict[str, object]]:
    """Give the lines of a bill, without a last line torn by a kill."""
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(_NEWLINE):
                yield json.loads(raw)


def total_pico_usd(path: Path) -> int:
    """Sum up a bill."""
    return sum(int(str(line["amount_pico_usd"])) for line in read(path))


def written_usd(pico: int) -> str:
    """Write an amount in USD without losing a digit."""
    whole, rest = divmod(pico, PICO_PER_USD)
    digits = f"{rest:012d}".rstrip("0")
    return f"{whole}.{digits or '0'}"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(file: Path) -> None:
    """Print a bill's totals by host and model, and the grand total."""
    amounts: Counter[tuple[str, str]] = Counter()
    answers: Counter[tuple[str, str]] = Counter()
    for line in read(file):
        key = (str(line["host"]), str(line["model"]))
        amounts[key] += int(str(line["amount_pico_usd"]))
        answers[key] += 1
    for (host, model), amount in sorted(amounts.items()):
        click.echo(f"{host}\t{model}\t{answers[host, model]} answers\t{written_usd(amount)} USD")
    click.echo(
        f"total\t\t{sum(answers.values())} answers\t{written_usd(sum(amounts.values()))} USD"
    )


if __name__ == "__main__":
    main()

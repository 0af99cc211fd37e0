"""Recovery: settles what processes left behind that are gone.

A process is gone when the lock beside its journal can be taken. Its incarnation is fenced, the
rest of its journal is settled, calls that were in flight are charged in full and flagged
`unknown`, its slices are closed. Every step may be repeated: a recovery that dies is recovered
by the next. Without a journal nothing is released by itself: a person has to write the holder off
(`desk_protocol.PostLossFor`).

Where the machine went down with the process (another boot than the journal's), entries that were
written last may be missing: what is whole is settled, and open slices are posted in full.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from signalbox_ledger import journal as journals
from signalbox_ledger.asking import Ask, connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.journal import Entry, JournalError, JournalLock
from signalbox_ledger.journal_lock import holders_in
from signalbox_ledger.machine_boot import boot_id
from signalbox_ledger.protocol import Done, Fence, Finish, Lost, PostLoss, Settle, Settled
from signalbox_ledger.records import Attempt, Charge, HoldPart, Run

_BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done about one incarnation. With a `problem`, its files were left as they are.

    `lost` slices were posted in full, because its machine went down with it.
    """

    holder: str
    runs: int = 0
    unknown: int = 0
    lost: int = 0
    problem: str = ""


async def recover_all(socket: Path, journal_dirs: Sequence[Path]) -> list[Recovery]:
    """Recover every incarnation under `journal_dirs` whose process is gone.

    Raises LedgerUnavailableError where no authority answers; call again then.
    """
    recovered: list[Recovery] = []
    for directory in journal_dirs:
        for holder in holders_in(directory):
            lock = JournalLock.take(directory, holder)
            if lock is None:
                continue
            try:
                recovery = await _recover(socket, directory, holder)
            except (JournalError, OSError) as error:
                recovery = Recovery(holder, problem=str(error))
            except BaseException:
                lock.release()
                raise
            if recovery.problem:
                lock.release()
            else:
                lock.remove()
            recovered.append(recovery)
    return recovered


async def _recover(socket: Path, directory: Path, holder: str) -> Recovery:
    segments = journals.segments_of(directory, holder)
    if not segments:
        return Recovery(holder)
    left, damage = _read(directory, holder, segments)
    header = _header(left)
    went_down = header is None or header.boot != boot_id()
    if damage and not went_down:
        raise JournalError(damage)
    reached = left[-1].end if left else 0
    unknown = 0 if damage else _complete(directory, holder, segments, left)
    async with connected(socket) as ask:
        reply = await ask(Fence(holder, header.name if header is not None else ""))
        if not isinstance(reply, Settled):
            raise LedgerUnavailableError(f"the authority does not fence {holder}: {reply}")
        if went_down and reply.offset > reached:
            left, unknown = [], 0  # more was settled than the disk has left
        runs = sum(entry.kind == journals.RECORD for entry in left if entry.end > reply.offset)
        await _settle(ask, directory, (holder, segments), (reply.offset, left))
        closed = await ask(PostLoss(holder) if went_down else Finish(holder))
        if not isinstance(closed, Done | Lost):
            raise LedgerUnavailableError(f"the authority does not close {holder}: {closed}")
    for start in segments:
        journals.segment_path(directory, holder, start).unlink()
    lost = closed.slices if isinstance(closed, Lost) else 0
    return Recovery(holder, runs=runs, unknown=unknown, lost=lost)


def _read(directory: Path, holder: str, segments: Sequence[int]) -> tuple[list[Entry], str]:
    """Every whole entry; the torn tail of the last segment is cut off. They end where a segment
    before it is damaged, if one is: which and where is told."""
    found: list[Entry] = []
    for position, start in enumerate(segments):
        path = journals.segment_path(directory, holder, start)
        data = path.read_bytes()
        found.extend(journals.entries(data, start))
        reached = found[-1].end if found and found[-1].end > start else start
        if position + 1 < len(segments):
            if reached != segments[position + 1]:
                return found, f"{path} is damaged at {reached - start}"
        elif reached - start < len(data):
            os.truncate(path, reached - start)
    return found, ""


def _complete(directory: Path, holder: str, segments: Sequence[int], left: list[Entry]) -> int:
    """Write records for runs that have none; `left` grows by them. How many had calls in flight."""
    open_runs = _without_record(left)
    end = left[-1].end if left else segments[-1]
    path = journals.segment_path(directory, holder, segments[-1])
    unknown = 0
    with path.open("ab", buffering=0) as file:
        for kind, run in open_runs.values():
            in_flight = kind == journals.DISPATCHING
            ended = unknown_run(run) if in_flight else failed_run(run)
            framed = journals.frame_run(journals.RECORD, ended)
            if os.write(file.fileno(), framed) != len(framed):
                raise JournalError(f"{path} has no room for run {run.run_id}")
            left.extend(journals.entries(framed, end))
            end += len(framed)
            unknown += in_flight
    return unknown


def _without_record(left: Sequence[Entry]) -> dict[str, tuple[int, Run]]:
    """Runs that have no record, as they were written last, with the kind of that entry."""
    found: dict[str, tuple[int, Run]] = {}
    recorded: set[str] = set()
    for entry in left:
        if entry.kind == journals.RECORD:
            recorded.add(journals.decode_run(entry.body).run_id)
        elif entry.kind in (journals.DISPATCHING, journals.ATTEMPT_ENDED):
            run = journals.decode_run(entry.body)
            found[run.run_id] = entry.kind, run
    return {run_id: last for run_id, last in found.items() if run_id not in recorded}


async def _settle(
    ask: Ask, directory: Path, journal: tuple[str, list[int]], rest: tuple[int, list[Entry]]
) -> None:
    holder, segments = journal
    offset, left = rest
    for end in _batches(offset, (entry.end for entry in left)):
        data = journals.read_range(directory, holder, segments, (offset, end))
        reply = await ask(Settle(holder, offset, data))
        if not isinstance(reply, Settled):
            raise JournalError(f"the authority does not settle {holder} from {offset}: {reply}")
        offset = reply.offset


def _batches(offset: int, ends: Iterable[int]) -> list[int]:
    batches: list[int] = []
    begin = last = offset
    for end in ends:
        if end <= offset:
            continue
        if end - begin > _BATCH_BYTES and last > begin:
            batches.append(last)
            begin = last
        last = end
    return [*batches, last] if last > begin else batches


def _header(left: Sequence[Entry]) -> journals.JournalHeader | None:
    if left and left[0].kind == journals.HEADER:
        return msgspec.msgpack.decode(left[0].body, type=journals.JournalHeader)
    return None


def unknown_run(run: Run) -> Run:
    """A run whose process ended while its last attempt was in flight: charged in full."""
    if not run.attempts:
        return msgspec.structs.replace(run, outcome="unknown")
    attempt = charged_in_full(run.attempts[-1])
    attempts = [*run.attempts[:-1], attempt]
    charge = Charge(
        attempt=attempt.number,
        meter="output",
        quantity=attempt.bound_tokens,
        unit_price=0,
        cost=attempt.bound_nano,
        base=attempt.bound_nano,
        kind="unknown",
    )
    return msgspec.structs.replace(
        run,
        outcome="unknown",
        attempts=attempts,
        charges=[*run.charges, charge],
        cost_nano=sum(one.cost_nano for one in attempts),
    )


def failed_run(run: Run) -> Run:
    """A run whose process ended between two attempts: what it cost until then is known."""
    return msgspec.structs.replace(
        run, outcome="failed", cost_nano=sum(attempt.cost_nano for attempt in run.attempts)
    )


def charged_in_full(attempt: Attempt) -> Attempt:
    """An attempt whose end is unknown: everything that it held is spent."""
    return msgspec.structs.replace(
        attempt,
        outcome="cut",
        settlement="full",
        cost_nano=attempt.bound_nano,
        holds=[_spent_in_full(part) for part in attempt.holds],
        detail="the process ended while this call was in flight",
    )


def _spent_in_full(part: HoldPart) -> HoldPart:
    return msgspec.structs.replace(part, spent=max(part.spent, part.amount))

"""Figures that proofs end with: one JSON line each, gathered by `tests/prove.py`.

    tell("budgets of 1,000 holds", overspend_nano=0, spent_share_of_limit=0.993)

The file is named by the environment variable SIGNALBOX_FIGURES; without it the figures are only
printed. `make prove` ends with the worst of each over all proofs. Several processes may tell into
one file at once.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

FILE_VARIABLE = "SIGNALBOX_FIGURES"
NIGHTLY_VARIABLE = "SIGNALBOX_NIGHTLY"
Number = int | float

MERGED: Mapping[str, Callable[[Iterable[Number]], Number]] = {
    "overspend_nano": max,
    "ledger_under_bill_nano": max,
    "leaked_holds": max,
    "false_refusals": max,
    "spent_share_of_limit": min,
    "simulated_seeds": sum,
    "events_per_seed": min,
    "planted_bugs": sum,
    "planted_bugs_caught": sum,
}
"""What several proofs say of the same figure, made one: the worst, or all together."""


def nightly() -> bool:
    """Whether the proofs run in their long sizes."""
    return os.environ.get(NIGHTLY_VARIABLE) == "1"


def sized(prove: int, night: int) -> int:
    """One of the two sizes of a proof."""
    return night if nightly() else prove


def tell(proof: str, **figures: Number) -> None:
    """What a proof found out: printed, and kept for the end of `make prove`."""
    print(f"{proof}: " + " ".join(f"{name}={value}" for name, value in figures.items()))
    if path := os.environ.get(FILE_VARIABLE):
        line = json.dumps({"proof": proof, "figures": figures}) + "\n"
        with Path(path).open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # other processes append, too; the last close frees it
            file.write(line.encode())


def told(path: Path) -> list[tuple[str, dict[str, Number]]]:
    """All that was told into a file, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    documents = [json.loads(line) for line in lines]
    return [(each["proof"], each["figures"]) for each in documents]


def merged(found: Iterable[tuple[str, Mapping[str, Number]]]) -> dict[str, Number]:
    """The figures of MERGED that any proof told, each made one."""
    listed = list(found)
    seen = {name: [figures[name] for _, figures in listed if name in figures] for name in MERGED}
    return {name: MERGED[name](values) for name, values in seen.items() if values}

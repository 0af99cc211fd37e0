"""Whether a run kept its residency lock and its class, judged from the run alone.

This is the second opinion: it shares nothing with the router that chose the lanes, and every
run is judged by it when it is recorded (`run_store`). Pure.
"""

import msgspec

from signalbox_ledger.records import Attempt, Run

SENSITIVITY_NAMES = ("public", "internal", "confidential", "regulated")
"""Names of the sensitivity classes 0 to 3, lowest first."""


class Compliance(msgspec.Struct, frozen=True):
    """The verdict on one run. `sentences` name each violation; empty where there is none."""

    compliant: bool
    sentences: tuple[str, ...]


def was_sent(attempt: Attempt) -> bool:
    """Whether a byte of the prompt may have reached the provider.

    Any sign of it counts: an outcome, a status, a charge. Only an attempt that shows none of
    them was kept at home.
    """
    return not (
        attempt.outcome == "unsent"
        and attempt.settlement == "released"
        and attempt.status is None
        and attempt.cost_nano == 0
    )


def judge(run: Run) -> Compliance:
    """Judge every attempt of `run` that was sent.

    Its jurisdiction must be in the run's lock (no lock permits all, an empty one nothing), and
    its lane must be cleared for the run's sensitivity.
    """
    sentences = tuple(
        sentence
        for attempt in run.attempts
        if was_sent(attempt)
        for sentence in _violations(run, attempt)
    )
    return Compliance(compliant=not sentences, sentences=sentences)


def _violations(run: Run, attempt: Attempt) -> list[str]:
    place = f"attempt {attempt.number} ran on {attempt.model}/{attempt.lane}"
    found = []
    if run.residency_lock is not None and attempt.jurisdiction not in run.residency_lock:
        lock = ", ".join(run.residency_lock) or "no jurisdiction at all"
        found.append(
            f"{place} in {attempt.jurisdiction or 'an unnamed jurisdiction'}, "
            f"outside the residency lock ({lock})."
        )
    if attempt.lane_max_sensitivity < run.sensitivity:
        found.append(
            f"{place}, cleared for {sensitivity_name(attempt.lane_max_sensitivity)}, "
            f"with {sensitivity_name(run.sensitivity)} data."
        )
    return found


def sensitivity_name(sensitivity: int) -> str:
    """The name of a class; a number outside 0 to 3 is named as such."""
    if 0 <= sensitivity < len(SENSITIVITY_NAMES):
        return SENSITIVITY_NAMES[sensitivity]
    return f"class {sensitivity}"

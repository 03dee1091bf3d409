"""Scoring the best few again, on other folds, before one of them is named the winner. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from search.trial import Trial

#: Why a confirmation ended that waited on folds which the space file no longer asks for. It was never begun on, so it may be made after all.
WITHDRAWN = "the space file does not ask for these folds any more"


def finalists(trials: Iterable[Trial], top: int, maximize: bool) -> list[Trial]:
    """The `top` best trials with the full budget; ties go to the earlier one."""
    sign = 1 if maximize else -1
    full = [t for t in trials if t.is_full and t.value is not None]
    return sorted(full, key=lambda t: (-sign * t.value, t.number))[:top]


def confirmations(trials: Iterable[Trial], folds: int | None = None) -> dict[int, Trial]:
    """Finished confirmations on so many folds, by the number of the trial they confirm; None takes the newest one's number of folds."""
    done = [t for t in trials if t.confirms is not None and t.state == "COMPLETE"]
    if folds is None and done:
        folds = done[-1].spec["folds"]
    return {t.confirms: t for t in done if t.spec["folds"] == folds}


def next_to_confirm(trials: Iterable[Trial], top: int, folds: int, maximize: bool) -> Trial | None:
    """A finalist that nobody has begun to confirm on so many folds, or None.

    One that failed, or was lost with its retries, counts as begun: it would fail again.
    """
    trials = list(trials)
    newest = {t.confirms: t for t in trials if t.confirms is not None and t.spec["folds"] == folds}  # of a line of retries the last
    begun = {confirmed for confirmed, t in newest.items() if t.reason != WITHDRAWN}
    return next((t for t in finalists(trials, top, maximize) if t.number not in begun), None)


def confirming_spec(trial: Trial, folds: int) -> dict[str, Any]:
    """The specification that scores a trial's configuration again; a line of retries of its own begins."""
    kept = {key: value for key, value in trial.spec.items() if key not in ("first", "timeouts")}
    return {**kept, "folds": folds, "repeats": 1, "retry_of": None, "confirms": trial.number}

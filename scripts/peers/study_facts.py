"""What a study that is over says of its engine: epochs, trials, seconds of training, and who won."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from scripts.peers.watching import Seen, StudyWatch
from search.errors import SearchError
from search.study_view import StudyView, read_study
from search.trial import Trial


def facts_of(studies_dir: Path, study: str, watch: StudyWatch, limit_seconds: float, *, was_killed: bool = False) -> dict[str, Any]:
    """What a line holds of a study.

    Parameters
    ----------
    studies_dir, study, watch
    limit_seconds : float
        Who wins is asked at that time from the command on.
    was_killed : bool
        It had two runs: what its engine kept of times leaves out what lay between them.

    Returns
    -------
    dict
        ``maximize``, ``points`` (seconds, value), ``epochs`` (trained, also again), ``trained_again`` (of them those that the study had already; None where
        the engine does not count), ``resolved_precision`` (None where no ``run.json`` tells it), ``trials`` (by state), ``configurations`` (trials, those
        that go on for one another once), ``training_seconds`` (of all epochs' training and validation, as each epoch's row tells; None where there are none),
        ``searched_seconds`` (the engine's own count) and ``winner`` (trial, value, epochs and its state).

    Raises
    ------
    SearchError
        Nothing was trained.
    """
    view = read_study(studies_dir, study)
    unseen = {t.number for t in view.trials if t.confirms is not None}
    reports = [report for report in timed(watch.seen, view.trials, keeps_times=not was_killed) if report[1] not in unseen]
    if not reports:
        raise SearchError(f"study '{study}': no epoch was trained: give it more minutes")
    told, distinct = watch.attribute("epochs_trained"), len({(t.root, step) for t in view.trials for step in t.reports})
    fitted = _training_seconds(view.trials)
    winner = winner_of(view, [(at, number) for at, number, _, _ in reports], limit_seconds)
    return {
        "maximize": view.maximize,
        "points": [(at, value) for at, _, _, value in reports],
        "epochs": distinct if told is None else int(told),
        "trained_again": None if told is None else max(0, int(told) - distinct),
        "resolved_precision": view.run.get("precision"),
        "trials": dict(Counter(t.state for t in view.trials)),
        "configurations": configurations_of(view.trials),
        "training_seconds": None if fitted is None else round(fitted, 1),
        "searched_seconds": round(view.elapsed_seconds, 1) or None,
        "winner": {"trial": winner.number, "value": round(best_of(winner, view.maximize), 6), "epochs": len(winner.reports), "state": winner.state},
    }


def timed(seen: Iterable[Seen], trials: Sequence[Trial], *, keeps_times: bool = True) -> list[tuple[float, int, int, float]]:
    """(seconds, trial, step, value) of the reports that were trained.

    A report stands at the second at which it was seen in the study, or before, where the engine `keeps_times` (`Trial.reported_at`, since the search began):
    some write a trial's reports together at its end. When the search began follows from the report that was seen soonest after its time.
    Reports that came with a trial that goes on for another are that one's, and stand there already.
    """
    goes_on = {t.number for t in trials if t.retry_of is not None}
    kept = {(t.number, step): at for t in trials for step, at in t.reported_at.items() if keeps_times}
    trained = [s for s in seen if not (s.came_with_trial and s.number in goes_on)]
    began = min((s.seconds - kept[s.number, s.step] for s in trained if (s.number, s.step) in kept), default=0.0)
    return [(min(s.seconds, began + kept.get((s.number, s.step), s.seconds)), s.number, s.step, s.value) for s in trained]


def winner_of(view: StudyView, reports: Iterable[tuple[float, int]] = (), limit_seconds: float = inf) -> Trial:
    """The trial with the best value of those that stand as complete in the study, which had the full budget; where there is none, with the best epoch of all.

    Of `reports` (second, trial) those after `limit_seconds` are beyond the time: their trials can't win, unless there are no others.
    """
    of_search = [t for t in view.trials if t.confirms is None and t.reports]
    late = {number for at, number in reports if at > limit_seconds}
    in_time = [t for t in of_search if t.number not in late] or of_search
    complete = [t for t in in_time if t.state == "COMPLETE"]
    sign = 1 if view.maximize else -1
    return max(complete or in_time, key=lambda t: (sign * best_of(t, view.maximize), -t.number))


def configurations_of(trials: Sequence[Trial]) -> int:
    """How many were tried: trials that go on for one another are one, lost ones as promoted ones."""
    return len({_line_of(t, trials) for t in trials if t.confirms is None})


def best_of(trial: Trial, maximize: bool) -> float:
    """Best epoch of a trial."""
    best = trial.best(maximize)
    if best is None:
        raise SearchError(f"trial {trial.number} has no report")
    return best


def _training_seconds(trials: Sequence[Trial]) -> float | None:
    """Each epoch once, whichever trials of a line, or of a promotion, have its row."""
    found = {(_line_of(t, trials), row["epoch"]): row["seconds"] for t in trials for row in t.outcome.get("history") or () if "seconds" in row}
    return sum(found.values()) if found else None


def _line_of(trial: Trial, trials: Sequence[Trial]) -> int:
    """The first trial of those that go on for one another: after a loss, or with the weights of one that KerasTuner promoted."""
    while (promoted := trial.spec.get("peer", {}).get("promoted")) is not None or trial.root != trial.number:
        trial = trials[trial.root if promoted is None else promoted]
    return trial.number

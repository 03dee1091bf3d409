"""Artifacts of trials: those of the best few are kept, whatever happens; the rest goes as soon as it is known to be the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from search.confirm import confirmations, finalists
from search.depot import Depot
from search.rules import Monitor
from search.trial import Trial

#: Folder of a study's depot that holds the artifacts of its trials.
TRIALS = "trials"
#: Trials whose weights and predictions are kept.
KEPT_TRIALS = 5


class Tidied:
    """A monitor that passes on what it is told, and removes the artifacts of trials that end and are not among the best.

    Parameters
    ----------
    monitor : Monitor
    depot : Depot
    trials : iterable of Trial
        The study's so far.
    maximize : bool
    keep : int
        The best so many of those with the full budget are kept.
    """

    def __init__(self, monitor: Monitor, depot: Depot, trials: Iterable[Trial], maximize: bool, keep: int = KEPT_TRIALS) -> None:
        self._monitor, self._depot, self._maximize, self._keep = monitor, depot, maximize, keep
        self._best = finalists(trials, keep, maximize)

    def ended(self, trial: Trial) -> None:
        """Pass it on and remove what is not needed any more."""
        self._monitor.ended(trial)
        if "artifacts_error" in trial.outcome:
            self._monitor.note(f"the artifacts of trial {trial.number} could not be kept: {trial.outcome['artifacts_error']}")
        if trial.confirms is not None:
            return
        candidates = [*self._best, trial]
        self._best = finalists(candidates, self._keep, self._maximize)
        kept = {each.number for each in self._best}
        for each in candidates:
            if each.number not in kept:
                self._depot.remove(f"{TRIALS}/{each.number:04d}")

    def started(self, trial: Trial) -> None:
        """Pass it on."""
        self._monitor.started(trial)

    def reported(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Pass it on."""
        self._monitor.reported(trial, epoch, metrics)

    def paused(self, trial: Trial) -> None:
        """Pass it on."""
        self._monitor.paused(trial)

    def note(self, text: str) -> None:
        """Pass it on."""
        self._monitor.note(text)


def keep_best_artifacts(depot: Depot, trials: list[Trial], maximize: bool, keep: int = KEPT_TRIALS) -> None:
    """Remove the artifacts of all but the best few trials that had the full budget, and of their confirmations."""
    kept = {f"{t.number:04d}" for t in finalists(trials, keep, maximize)} | {f"{t.number:04d}" for t in trials if t.end is None}
    for confirmed, again in confirmations(trials).items():
        kept |= {f"{confirmed:04d}", f"{again.number:04d}"}
    depot.remove(TRIALS, lambda name: name not in kept)

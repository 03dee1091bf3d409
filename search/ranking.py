"""Which of two trials a sampler takes for the better one, as Optuna's TPE does. Pure."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from search.schedulers.ladder import EpochLadder, Ladder
from search.trial import End, Trial


def rank_of(trial: Trial, maximize: bool, ladder: Ladder = EpochLadder(())) -> tuple[Any, ...]:
    """Sorts ended and paused trials, the best first: those that had the full budget by value, then stopped ones, the later stopped before the
    earlier and of these by their last report, then those that were refused. Later is what `ladder` says."""
    sign = -1.0 if maximize else 1.0
    if trial.state == "COMPLETE" and trial.value is not None:
        return 0, sign * trial.value
    if trial.reports and trial.end != End.REFUSED:
        return 1, -ladder.step(trial), sign * trial.reports[max(trial.reports)]
    return (2,)


def places(count: int) -> list[float]:
    """Where `count` trials stand among one another, best first: from 0 to 1, the middle of each one's share."""
    return [(i + 0.5) / count for i in range(count)]


def score_of(place: float, maximize: bool) -> float:
    """A value for a trial that is known by its place alone: that of a normal distribution, so that trials of studies with other levels compare.

    Source
    ------
    Salinas, Shen, Perrone 2020, "A Quantile-based Approach for Hyperparameter Transfer Learning", ICML, section 3. arXiv:1909.13595
    """
    return (1 if maximize else -1) * NormalDist().inv_cdf(1 - place)

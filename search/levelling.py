"""What a trial that was stopped or paused would have reached with the full budget. Pure.

A sampler that ranks by value alone would take a good trial stopped at epoch 1 for a bad one. So each is credited with what its family's
trials gained between that epoch and the end. It is a guess: those that went on were the better ones at their rung.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from search.trial import Trial


def levelled(trials: Iterable[Trial], maximize: bool) -> dict[int, float]:
    """Values as for the full budget.

    Parameters
    ----------
    trials : iterable of Trial
        Ended or paused.
    maximize : bool

    Returns
    -------
    dict of int to float
        Trial number to value, of the trials with reports. A COMPLETE trial has its own value. Another has its score so far and, for each
        level from its last epoch to the end, the median gain of those of its family that went on from there; where none did, no gain.
        Levels are the epochs after which trials of the family ended or wait.
    """
    families: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.reports:
            families.setdefault(trial.family, []).append(trial)
    estimates = {}
    for members in families.values():
        gains = _gains(members, maximize)
        for trial in members:
            ahead = 0.0 if trial.state == "COMPLETE" else sum(gain for level, gain in gains.items() if level >= _last(trial))
            estimates[trial.number] = _reached(trial, None, maximize) + ahead
    return estimates


def _gains(trials: list[Trial], maximize: bool) -> dict[int, float]:
    """Median gain from each level to the next one, from the highest to the end."""
    levels = sorted({_last(t) for t in trials if t.state != "COMPLETE"})
    gains = {}
    for level, following in zip(levels, (*levels[1:], None), strict=False):
        went_on = [t for t in trials if (_last(t) > level or t.state == "COMPLETE") and min(t.reports) <= level]
        differences = [_reached(t, following, maximize) - t.best(maximize, level) for t in went_on]
        gains[level] = median(differences) if differences else 0.0
    return gains


def _reached(trial: Trial, level: int | None, maximize: bool) -> float:
    """Score at a level, or (None) at the end; a trial that completed before the level stands there with its value."""
    if trial.state == "COMPLETE" and (level is None or level >= _last(trial)):
        return trial.value
    return trial.best(maximize, level)


def _last(trial: Trial) -> int:
    return max(trial.reports)

"""What one setting of a sweep scored, over all trainings that it had, and how it stands to another. Pure; the statistics come from the composition root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from search.item_scores import ItemScores, item_scores
from search.selection import Paired, Statistics
from search.trial import Trial


@dataclass(frozen=True)
class SettingScore:
    """The score of a setting.

    Attributes
    ----------
    value : float
        Mean over its trainings.
    interval : tuple of float or None
        95 %, over the items that were scored.
    repeats : tuple of float
        The score of each training (of all folds, where there are several).
    items : ItemScores or None
        Of all its trainings together; None where they are not known, or are of other items.
    """

    value: float
    interval: tuple[float, float] | None
    repeats: tuple[float, ...]
    items: ItemScores | None

    def against(self, other: SettingScore, statistics: Statistics | None, maximize: bool) -> Paired | None:
        """This one compared with another, item by item, a positive difference being better; None where that is not possible."""
        first, second = self.items, other.items
        if statistics is None or first is None or second is None or (first.order, first.folds) != (second.order, second.folds):
            return None
        sign = 1 if maximize else -1
        return statistics.compare_paired(*(sign * statistics.item_scores(each.parts, each.folds, maximize) for each in (first, second)), first.groups)


def score_setting(trials: Sequence[Trial], statistics: Statistics | None, maximize: bool, is_share: bool) -> SettingScore | None:
    """The score of a setting from its trials that were trained to the end; None where there are none.

    Parameters
    ----------
    trials : sequence of Trial
    statistics : Statistics or None
        Without them a setting that was trained several times has no interval.
    maximize : bool
    is_share : bool
        True where scores lie between 0 and 1.
    """
    if not trials:
        return None
    repeats, items = [value for trial in trials for value in _repeats(trial)], _together(trials)
    told = trials[0].outcome.get("interval") if len(repeats) == 1 else None
    interval = None if told is None else (float(told[0]), float(told[1]))
    if interval is None and items is not None and statistics is not None:
        scores = statistics.item_scores(items.parts, items.folds, maximize)
        interval = (statistics.proportion_interval if is_share else statistics.mean_interval)(scores, items.groups)
    return SettingScore(fmean(trial.value for trial in trials), interval, tuple(repeats), items)


def _repeats(trial: Trial) -> list[float]:
    """Scores of the repeats of a trial, each the mean of its folds."""
    folds, repeats = trial.spec.get("folds", 1), trial.spec.get("repeats", 1)
    scores = trial.outcome.get("scores") or []
    if repeats < 2 or len(scores) != folds * repeats:
        return [trial.value]
    return [float(np.mean(scores[i * folds : (i + 1) * folds])) for i in range(repeats)]


def _together(trials: Sequence[Trial]) -> ItemScores | None:
    """Items of several trials as if one trial had had all their trainings."""
    told = [item_scores(trial) for trial in trials]
    if any(each is None for each in told) or len({(each.order, each.folds) for each in told}) > 1:
        return None
    return ItemScores(told[0].order, told[0].folds, told[0].groups, tuple(part for each in told for part in each.parts))

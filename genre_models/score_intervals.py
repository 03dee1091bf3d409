"""How sure one may be of a classifier's scores: intervals that count groups of tracks, and where none would be valid none.

Pure. `genre_models.metrics` has the scores themselves; conventions as there. ``predicted`` are class numbers.
"""

from __future__ import annotations

import numpy as np

from genre_models.resampling.intervals import groups_of, mean_interval, proportion_interval, score_interval

LEAST_FOR_F1 = 10  # tracks that are, or were taken for, a class
LEAST_GROUPS_FOR_LOSS = 30  # below, the interval of a mean log loss holds it too seldom (docs/benchmarks.md, 'Do the intervals hold?')


def f1_of_counts(hits: np.ndarray, support: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of each class from counts of any one shape; 0 where a class has neither truth nor prediction."""
    both = support + predicted
    return np.divide(2.0 * hits, both, out=np.zeros(both.shape), where=both > 0)


def macro_f1_interval(y_true, predicted, n_classes: int, groups=None) -> tuple[float, float] | None:
    """95 % interval of the macro F1: Wilson's, with as many tracks as the jackknife over groups says that there are.

    Parameters
    ----------
    y_true, predicted : np.ndarray of int [shape=(n,)]
        Class numbers.
    n_classes : int
    groups : np.ndarray of int [shape=(n,)] or None
        Tracks that go together; None for each alone.

    Returns
    -------
    tuple of float or None
        None where there is one group only.

    Source
    ------
    As of `genre_models.resampling.intervals.score_interval`. A percentile bootstrap is too narrow, and off to one side, where classes have few tracks.
    """
    numbers, sizes = groups_of(groups, len(y_true))
    if len(sizes) < 2:
        return None
    counts = np.zeros((3, len(sizes), n_classes))  # hits, support, predictions of each group and class
    right = y_true == predicted
    for table, rows, classes in zip(counts, (numbers[right], numbers, numbers), (y_true[right], y_true, predicted), strict=True):
        np.add.at(table, (rows, classes), 1.0)
    totals = counts.sum(axis=1)
    occurs = totals[1] + totals[2] > 0  # in all: the same mean over the same classes, whatever is left out
    left_out = f1_of_counts(*(totals[:, None] - counts))[:, occurs].mean(axis=1)
    return score_interval(float(f1_of_counts(*totals)[occurs].mean()), left_out, sizes)


def class_intervals(y_true: np.ndarray, predicted: np.ndarray, n_classes: int, groups=None) -> list[dict[str, tuple[float, float] | None]]:
    """95 % intervals of each class's ``precision``, ``recall`` and ``f1``; arguments as of `macro_f1_interval`.

    An interval is None where it would say nothing or too little to be trusted: of a ratio without a denominator, of tracks of one group, and of an F1 over
    fewer than `LEAST_FOR_F1` tracks.
    """
    right, numbers = y_true == predicted, groups_of(groups, len(y_true))[0]

    def of(among: np.ndarray) -> tuple[float, float] | None:
        return proportion_interval(right[among], numbers[among]) if among.any() else None

    return [
        {"precision": of(predicted == label), "recall": of(y_true == label), "f1": _class_f1_interval(y_true == label, predicted == label, numbers)}
        for label in range(n_classes)
    ]


def _class_f1_interval(is_label: np.ndarray, is_predicted: np.ndarray, numbers: np.ndarray) -> tuple[float, float] | None:
    among = is_label | is_predicted
    if among.sum() < LEAST_FOR_F1:
        return None
    numbers, sizes = groups_of(numbers[among], int(among.sum()))
    marks = np.stack([is_label & is_predicted, is_label, is_predicted])[:, among]
    counts = np.array([np.bincount(numbers, weights=mark, minlength=len(sizes)) for mark in marks])
    totals = counts.sum(axis=1)
    return score_interval(float(f1_of_counts(*totals)), f1_of_counts(*(totals[:, None] - counts)), sizes)


def log_loss_interval(losses: np.ndarray, groups=None) -> tuple[float, float] | None:
    """95 % interval of the mean of tracks' log losses [shape=(n,)]: Student's over groups; None of fewer than `LEAST_GROUPS_FOR_LOSS` of them."""
    if len(groups_of(groups, len(losses))[1]) < LEAST_GROUPS_FOR_LOSS:
        return None
    low, high = mean_interval(losses, groups)
    return max(0.0, low), high



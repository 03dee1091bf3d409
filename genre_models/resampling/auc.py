"""How well a score tells two kinds of items apart, where items come in groups: the area under the ROC curve and its interval."""

from __future__ import annotations

import numpy as np

from genre_models.resampling.intervals import CONFIDENCE, groups_of, wilson


def auc_of(scores, is_positive, groups=None) -> tuple[float, tuple[float, float] | None]:
    """The chance that an item of the one kind has a higher score than one of the other, ties counting half.

    Parameters
    ----------
    scores : array [shape=(n,)]
    is_positive : array of bool [shape=(n,)]
        The kind of each item; both are there.
    groups : array of int [shape=(n,)] or None

    Returns
    -------
    float, (float, float) or None
        The area, and its 95 % interval: Wilson's with as many items as would make it as sure; None where one kind has fewer than two groups.

    Raises
    ------
    ValueError
        One kind has no item.

    Source
    ------
    N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997), doi:10.2307/2533958.
    """
    scores, is_positive = np.asarray(scores, dtype=np.float64), np.asarray(is_positive, dtype=bool)
    numbers, _ = groups_of(groups, len(scores))
    if is_positive.all() or not is_positive.any():
        raise ValueError("items of both kinds must be there, but got one kind")
    high, low = scores[is_positive], scores[~is_positive]
    of_high, of_low = _share_below(low, high), 1 - _share_below(high, low)
    auc = float(of_high.mean())
    n_groups = numbers.max() + 1
    sums_high, n_high = _sums(of_high - auc, numbers[is_positive], n_groups)
    sums_low, n_low = _sums(of_low - auc, numbers[~is_positive], n_groups)
    if min(n_high, n_low) < 2:
        return auc, None
    within_high = n_high / (n_high - 1) * float(sums_high @ sums_high) / len(high) ** 2
    within_low = n_low / (n_low - 1) * float(sums_low @ sums_low) / len(low) ** 2
    across = 2 * n_groups / (n_groups - 1) * float(sums_high @ sums_low) / (len(high) * len(low))
    variance, spread = within_high + within_low + across, auc * (1 - auc)
    effective = min(n_high, n_low) if min(variance, spread) <= 1e-12 else min(spread / variance, len(scores))
    from scipy.special import stdtrit

    low_end, high_end = wilson(auc, float(effective), float(stdtrit(min(n_high, n_low) - 1, (1 + CONFIDENCE) / 2)))
    return auc, (float(low_end), float(high_end))


def _share_below(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Share of `values` that are below each of `of`, equal ones counting half [shape=(len(of),)]."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")) / (2 * len(values))


def _sums(values: np.ndarray, numbers: np.ndarray, n_groups: int) -> tuple[np.ndarray, int]:
    return np.bincount(numbers, weights=values, minlength=n_groups), len(np.unique(numbers))

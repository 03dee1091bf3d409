"""Intervals of one score over items that come in groups.

A proportion has Wilson's interval with the number of items that would be as sure were each alone (the effective sample size), from the delete-one-group
jackknife; other scores between 0 and 1, such as a macro F1, the same with their own jackknife variance. Percentile and BCa bootstraps over groups were tried and
hold the truth too seldom where there are few groups (docs/benchmarks.md, 'Do the intervals hold?').
"""

from __future__ import annotations

import math

import numpy as np

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959963984540054


def groups_of(groups, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Group numbers counted from 0 [shape=(n,)], and the items in each group [shape=(n_groups,)].

    Parameters
    ----------
    groups : array of int [shape=(n,)] or None
        Any numbers; None for each item alone.
    n : int

    Raises
    ------
    ValueError
        There is not one for each item.
    """
    if groups is None:
        return np.arange(n), np.ones(n, dtype=np.int64)
    if len(groups) != n:
        raise ValueError(f"one group for each item must hold, but got {len(groups)} groups for {n} items")
    _, numbers, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return numbers.reshape(n), sizes


def wilson(estimate: float, n: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Score interval of a proportion; of `n` items or, in groups, as good as so many.

    Source
    ------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), doi:10.1080/01621459.1927.10502953.
    """
    weight = quantile**2 / n
    centre = (estimate + weight / 2) / (1 + weight)
    half = quantile / (1 + weight) * math.sqrt(max(estimate * (1 - estimate), 0.0) / n + weight / (4 * n))
    # At the ends the interval meets the estimate exactly, which rounding must not take from it.
    return min(max(0.0, centre - half), estimate), max(min(1.0, centre + half), estimate)


def score_interval(estimate: float, left_out: np.ndarray, sizes: np.ndarray) -> tuple[float, float] | None:
    """Wilson's interval of a score in [0, 1], with its effective sample size and Student's quantile.

    Parameters
    ----------
    estimate : float
        Of all items.
    left_out : np.ndarray [shape=(n_groups,)]
        The score without each group.
    sizes : np.ndarray of int [shape=(n_groups,)]

    Returns
    -------
    tuple of float or None
        None where there is one group only: nothing tells how much groups differ.

    Source
    ------
    C. Franco, R. J. A. Little, T. A. Louis, E. V. Slud, "Comparative study of confidence intervals for proportions in complex sample surveys", Journal of
    Survey Statistics and Methodology 7 (2019), doi:10.1093/jssam/smy019 (Wilson's with an effective sample size); the variance by the jackknife of
    B. Efron and C. Stein, Annals of Statistics 9 (1981), doi:10.1214/aos/1176345462.
    """
    from scipy.special import stdtrit

    if len(sizes) < 2:
        return None
    quantile = float(stdtrit(len(sizes) - 1, (1 + CONFIDENCE) / 2))
    return wilson(estimate, effective_size(estimate, left_out, sizes), quantile)


def effective_size(estimate: float, left_out: np.ndarray, sizes: np.ndarray) -> float:
    """Items that, each alone, would make the score as sure; at most as many as there are. Arguments as of `score_interval`.

    Where the score does not vary, as when all is right, each group counts as if all of it went together.
    """
    n = float(sizes.sum())
    variance = (len(sizes) - 1) / len(sizes) * float(((left_out - left_out.mean()) ** 2).sum())
    spread = estimate * (1 - estimate)
    if variance <= 1e-12 or spread <= 1e-12:
        return n**2 / float((sizes.astype(np.float64) ** 2).sum())
    return min(n, spread / variance)


def left_out_means(scores: np.ndarray, numbers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean score of the items without each group [shape=(n_groups,)]; there are two groups at least."""
    sums = np.bincount(numbers, weights=scores, minlength=len(sizes))
    return (sums.sum() - sums) / (sizes.sum() - sizes)


def proportion_interval(scores, groups=None) -> tuple[float, float] | None:
    """Interval of the mean of scores between 0 and 1, such as hits.

    Parameters
    ----------
    scores : array [shape=(n,)]
        1 where an item was told right, 0 where not; between them where it was told several times.
    groups : array of int [shape=(n,)] or None

    Returns
    -------
    tuple of float or None
        Wilson's by items where each stands alone; else `score_interval`.

    Raises
    ------
    ValueError
        There is no item, or not one group for each.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not len(scores):
        raise ValueError("at least one item must be there, but got none")
    numbers, sizes = groups_of(groups, len(scores))
    if len(sizes) == len(scores):
        return wilson(float(scores.mean()), len(scores))
    return None if len(sizes) < 2 else score_interval(float(scores.mean()), left_out_means(scores, numbers, sizes), sizes)


def mean_interval(scores, groups=None) -> tuple[float, float] | None:
    """Student's interval of a mean of any numbers, over groups; None where there are fewer than two groups.

    Source
    ------
    W. G. Cochran, "Sampling Techniques", 3rd edition (1977), section 2.11: the ratio of two totals over groups.
    """
    from scipy.special import stdtrit

    scores = np.asarray(scores, dtype=np.float64)
    numbers, sizes = groups_of(groups, len(scores))
    if len(sizes) < 2:
        return None
    mean = float(scores.mean())
    off = np.bincount(numbers, weights=scores - mean, minlength=len(sizes))
    error = math.sqrt(len(sizes) / (len(sizes) - 1) * float((off**2).sum())) / len(scores)
    reach = float(stdtrit(len(sizes) - 1, (1 + CONFIDENCE) / 2)) * error
    return mean - reach, mean + reach

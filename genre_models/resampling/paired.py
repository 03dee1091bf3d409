"""Two models on the same items: the difference of their scores, its interval, and whether they can be told apart.

The only paired test of the project: held-out comparisons use it, and searches are given it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from genre_models.resampling.intervals import groups_of, mean_interval, wilson

LEVEL = 0.05
SIGN_FLIPS = 20_000  # where the exact distribution can't be had


@dataclass(frozen=True)
class Paired:
    """What a comparison found.

    Attributes
    ----------
    difference : float
        Mean score of the first minus the second's.
    interval : tuple of float or None
        Of the difference; None where there are fewer than two groups.
    p_value : float
        Of the sign-flip test over groups, two-sided.
    wins, losses : int
        Items of which the first, or the second, has the higher score.
    """

    difference: float
    interval: tuple[float, float] | None
    p_value: float
    wins: int
    losses: int

    @property
    def is_tie(self) -> bool:
        """True where the two can't be told apart: the interval includes 0, or the test gives more than 0.05."""
        return self.interval is None or self.interval[0] <= 0.0 <= self.interval[1] or self.p_value > LEVEL


def compare_paired(first, second, groups=None, seed: int = 0) -> Paired:
    """Compare two models by their scores of the same items, higher being better.

    Parameters
    ----------
    first, second : array [shape=(n,)]
        Hits (0 or 1), or any other scores.
    groups : array of int [shape=(n,)] or None
    seed : int
        Of the sign flips, which are drawn only where scores are not hits.

    Raises
    ------
    ValueError
        There is no item, or the arguments do not go together.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"two scores for each of some items must be there, but got shapes {first.shape} and {second.shape}")
    numbers, sizes = groups_of(groups, len(first))
    off = first - second
    totals = np.bincount(numbers, weights=off, minlength=len(sizes))
    are_hits = np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all()
    interval = _interval_of_hits(first, second, totals, sizes) if are_hits else mean_interval(off, groups)
    p_value = exact_sign_flip(np.rint(totals).astype(np.int64)) if are_hits else drawn_sign_flip(totals, seed)
    return Paired(float(off.mean()), interval, p_value, int((off > 0).sum()), int((off < 0).sum()))


def _interval_of_hits(first: np.ndarray, second: np.ndarray, totals: np.ndarray, sizes: np.ndarray) -> tuple[float, float] | None:
    """`paired_interval` with as many items as, each alone, would make the difference as sure."""
    n, n_groups = len(first), len(sizes)
    counts = np.array([first @ second, first @ (1 - second), (1 - first) @ second, (1 - first) @ (1 - second)])
    if n_groups == n:
        return paired_interval(*counts)
    if n_groups < 2:
        return None
    off, mean = first - second, float(np.mean(first - second))
    alone = float(((off - mean) ** 2).sum())
    grouped = n_groups / (n_groups - 1) * float(((totals - mean * sizes) ** 2).sum())
    # Where they never differ, each group counts as if all of it went together.
    effect = grouped / alone if alone > 0 else float((sizes.astype(np.float64) ** 2).sum()) / n
    return paired_interval(*(counts / max(1.0, effect)))


def paired_interval(both: float, first: float, second: float, neither: float) -> tuple[float, float]:
    """95 % interval of the difference between the parts that two models have right of the same items.

    Parameters
    ----------
    both, first, second, neither : float
        Items that both models, only the first, only the second, and neither had right; more than none in all.

    Returns
    -------
    tuple of float
        Lower and upper end of the first's part minus the second's; 0 lies inside where the two can't be told apart.

    Raises
    ------
    ValueError
        There is no item.

    Source
    ------
    R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data", Statistics in
    Medicine 17 (1998), method 10, doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C: Wilson's intervals of both, put
    together with regard to how the answers go together.
    """
    n = both + first + second + neither
    if not n > 0:
        raise ValueError("at least one item must be there, but got none")
    p_first, p_second = (both + first) / n, (both + second) / n
    (low_first, high_first), (low_second, high_second) = wilson(p_first, n), wilson(p_second, n)
    product = both * neither - first * second
    if product > 0:
        product = max(product - n / 2, 0.0)
    margins = math.sqrt((both + first) * (second + neither) * (both + second) * (first + neither))
    correlation = product / margins if margins else 0.0

    def distance(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0))

    below = distance(p_first - low_first, high_second - p_second)
    above = distance(high_first - p_first, p_second - low_second)
    return float(p_first - p_second - below), float(p_first - p_second + above)


def exact_sign_flip(totals: np.ndarray) -> float:
    """Two-sided p-value of a sum of whole numbers, had each group's either sign with the same chance; all sign patterns are counted.

    With groups of one item it is McNemar's exact test.

    Parameters
    ----------
    totals : np.ndarray of int [shape=(n_groups,)]
        Difference of the two models' hits in each group.

    Source
    ------
    R. A. Fisher, "The Design of Experiments" (1935), section 21; the distribution by convolution after M. Pagano and D. Tritchler, "On obtaining
    permutation distributions in polynomial time", JASA 78 (1983), doi:10.1080/01621459.1983.10477990.
    """
    chances = np.ones(1)
    for size, count in zip(*np.unique(np.abs(totals[totals != 0]), return_counts=True), strict=True):
        spread = np.zeros(2 * int(size) * int(count) + 1)  # of `count` groups that each move the sum by `size`
        spread[:: 2 * int(size)] = _coin_tosses(int(count))
        chances = np.convolve(chances, spread)
    reach = len(chances) // 2
    found = abs(int(totals.sum()))
    return min(1.0, float(chances[: reach - found + 1].sum() + chances[reach + found :].sum())) if found else 1.0


def _coin_tosses(n: int) -> np.ndarray:
    """Chance of each number of heads in `n` tosses [shape=(n + 1,)]."""
    from scipy.special import gammaln

    heads = np.arange(n + 1)
    return np.exp(gammaln(n + 1) - gammaln(heads + 1) - gammaln(n - heads + 1) - n * math.log(2))


def drawn_sign_flip(totals: np.ndarray, seed: int) -> float:
    """The same for any numbers, from `SIGN_FLIPS` patterns drawn at random; the pattern found counts among them."""
    rng = np.random.default_rng(seed)
    found, beyond, moves = abs(float(totals.sum())), 0, totals[totals != 0]
    for _ in range(0, SIGN_FLIPS, 1000):
        signs = rng.integers(0, 2, size=(1000, len(moves))) * 2 - 1
        beyond += int((np.abs(signs @ moves) >= found - 1e-12).sum())
    return (beyond + 1) / (SIGN_FLIPS + 1)

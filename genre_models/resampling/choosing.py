"""What the best of many scores is worth: the choice made again in each bootstrap resample, and scored where it was not made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genre_models.resampling.intervals import effective_size, groups_of, left_out_means, mean_interval, wilson

RESAMPLES = 2000
_LEAST_RESAMPLES = 200
_MOST_CELLS = 5e9  # resamples times scores: seconds on one core
_PIECE = 250  # resamples whose scores are in memory at once


#: One of those that a winner is chosen among: for each of its trainings what it scored on each item of its fold [shape=(n_states, n_items)], a row for each
#: state (epoch) that its best one was chosen among. Training i is of fold i mod len(folds).
Candidate = Sequence[np.ndarray]


@dataclass(frozen=True)
class Chosen:
    """What is to be expected of a winner.

    Attributes
    ----------
    score : float
        By which it won.
    expected : float
        Mean score, on items left out of a resample, of what would have won in the resample.
    interval : tuple of float or None
        Of `expected`, with the spread between groups that the winner's scores have.
    candidates, states : int
        How many were chosen among; states of all their trainings together.
    """

    score: float
    expected: float
    interval: tuple[float, float] | None
    candidates: int
    states: int


def expect_chosen(
    candidates: Sequence[Candidate],
    winner: int,
    folds: Sequence[int],
    groups=None,
    *,
    maximize: bool = True,
    costs: Sequence[float] | None = None,
    within: float = 0.0,
    seed: int = 0,
    resamples: int | None = None,
) -> Chosen | None:
    """Estimate what a winner scores on items by which it was not chosen.

    In each bootstrap resample of groups every candidate's best states are chosen anew, then the best candidate; it is scored on the groups that the resample
    left out. So the estimate covers the choice among candidates and among their states, and nothing else: not what a sampler or a scheduler learned from
    the same items, and not the states of candidates that are not given.

    Parameters
    ----------
    candidates : sequence of Candidate
    winner : int
        Place of the winner among them.
    folds : sequence of int
        Items of each fold; one number where there are none.
    groups : array of int [shape=(n_items,)] or None
        Of all items, fold after fold.
    maximize : bool
    costs : sequence of float, optional
        Given, not the best of a resample is chosen there, but the one that costs least among those `within` of the best.
    within : float
    seed : int
    resamples : int, optional
        None takes 2000, or fewer where that would take long.

    Returns
    -------
    Chosen or None
        None where there are fewer than two groups.

    Source
    ------
    I. Tsamardinos, E. Greasidou, G. Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation", Machine
    Learning 107 (2018), doi:10.1007/s10994-018-5714-4 (BBC-CV); the optimism itself: G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection
    and subsequent selection bias in performance evaluation", JMLR 11 (2010).
    """
    numbers, sizes = groups_of(groups, sum(folds))
    if len(sizes) < 2:
        return None
    if resamples is None:
        cells = sum(part.size for each in candidates for part in each)
        resamples = int(min(RESAMPLES, max(_LEAST_RESAMPLES, _MOST_CELLS / cells)))
    sign, rng, total, counted = 1.0 if maximize else -1.0, np.random.default_rng(seed), 0.0, 0
    for start in range(0, resamples, _PIECE):
        drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=min(_PIECE, resamples - start))
        inside, outside = _scores_in_and_out(candidates, folds, drawn[:, numbers].astype(np.float32), sign)
        found = outside[_choose(sign * inside, costs, within), np.arange(outside.shape[1])]
        total, counted = total + float(found[np.isfinite(found)].sum()), counted + int(np.isfinite(found).sum())
    states = sum(len(part) for each in candidates for part in each)
    scores = item_scores(candidates[winner], folds, maximize)
    expected = total / counted
    is_share = all(0.0 <= part.min() and part.max() <= 1.0 for each in candidates for part in each)
    return Chosen(_score(candidates[winner], sign), expected, _interval(expected, scores, numbers, sizes, is_share), len(candidates), states)


def item_scores(candidate: Candidate, folds: Sequence[int], maximize: bool = True) -> np.ndarray:
    """Score of each item [shape=(n_items,)] at the best states; the mean where a fold was trained on several times."""
    sign, bests = 1.0 if maximize else -1.0, [[] for _ in folds]
    for number, part in enumerate(candidate):
        bests[number % len(folds)].append(part[int(np.argmax(sign * part.mean(axis=1)))])
    return np.concatenate([np.mean(rows, axis=0) for rows in bests])


def _score(candidate: Candidate, sign: float) -> float:
    return float(np.mean([sign * (sign * part.mean(axis=1)).max() for part in candidate]))


def _choose(scores: np.ndarray, costs: Sequence[float] | None, within: float) -> np.ndarray:
    """Place of the candidate that wins in each resample [scores: shape=(n_candidates, n_resamples), the higher the better]; a tie goes to the earlier one."""
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    if costs is None:
        return np.argmax(scores, axis=0)
    affordable = scores >= scores.max(axis=0) - within - 1e-9
    return np.argmin(np.where(affordable, np.asarray(costs, dtype=np.float64)[:, None], np.inf), axis=0)


def _scores_in_and_out(candidates: Sequence[Candidate], folds: Sequence[int], weights: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores [shape=(n_candidates, n_resamples)] in each resample, and on what it left out: NaN where that is nothing. `weights`: a row a resample."""
    ends = np.cumsum(folds)
    inside = [weights[:, end - size : end] for size, end in zip(folds, ends, strict=True)]
    outside = [(part == 0).astype(np.float32) for part in inside]
    own, other = np.empty((2, len(candidates), len(weights)))
    for place, each in enumerate(candidates):
        found = [_best_state(part, inside[i % len(folds)], outside[i % len(folds)], sign) for i, part in enumerate(each)]
        own[place], other[place] = (_means(np.array(scores)) for scores in zip(*found, strict=True))
    return own, other


def _best_state(part: np.ndarray, inside: np.ndarray, outside: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Score in the resample of the state that is best there, and its score on what was left out; NaN where there is nothing to score on."""
    scores, rows = part.T.astype(np.float32), np.arange(len(inside))
    with np.errstate(invalid="ignore"):
        own = (inside @ scores) / inside.sum(axis=1, keepdims=True)
        chosen = np.argmax(np.where(np.isfinite(own), sign * own, -np.inf), axis=1)
        other = (outside * scores.T[chosen]).sum(axis=1) / outside.sum(axis=1)
    return own[rows, chosen], other


def _means(values: np.ndarray) -> np.ndarray:
    """Mean of the finite values of each column; NaN where there are none."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)


def _interval(expected: float, scores: np.ndarray, numbers: np.ndarray, sizes: np.ndarray, is_share: bool) -> tuple[float, float] | None:
    if not is_share:
        found = mean_interval(scores, numbers)
        return None if found is None else (found[0] - float(scores.mean()) + expected, found[1] - float(scores.mean()) + expected)
    from scipy.special import stdtrit

    won = float(scores.mean())
    n = effective_size(won, left_out_means(scores, numbers, sizes), sizes)
    return wilson(expected, n, float(stdtrit(len(sizes) - 1, 0.975)))

"""What a choice by some tracks is worth on others: the choice made again on a random part of the tracks, its score there, and its score on the rest. Pure.

Every track is asked in both ways, by choices that were made with it and by choices made without it. Nothing is trained: a trial tells which tracks each of
its epochs had right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genre_models.resampling.intervals import groups_of

SPLITS = 200
#: Blocks of groups that are left out in turn, to tell how sure a difference is.
BLOCKS = 20

#: A setting: for each fold which of its tracks each epoch told right [shape=(n_epochs, n_tracks of the fold)].
Setting = Sequence[np.ndarray]


@dataclass(frozen=True)
class Choice:
    """Mean scores over many splits of the tracks.

    Attributes
    ----------
    chosen_by : float
        Of choices on the tracks that they were made by: what a report prints that chooses on its test tracks.
    apart : float
        Of the same choices on other tracks.
    left_out : np.ndarray [shape=(n_blocks,)]
        `chosen_by` minus `apart` without each block of groups.
    tracks, groups : int
    deciding : float
        Tracks that a choice was made by.
    validated : float or None
        Of the setting with the best validation score, on test tracks; only where tracks are cut into three.
    """

    chosen_by: float
    apart: float
    left_out: np.ndarray
    tracks: int
    groups: int
    deciding: float
    validated: float | None = None


def halves(settings: Sequence[Setting], folds: Sequence[int], groups: np.ndarray | None = None, seed: int = 0, splits: int = SPLITS) -> Choice:
    """Best epoch and best setting chosen on one half of the tracks, and the other half asked; then the other way round.

    Parameters
    ----------
    settings : sequence of Setting
    folds : sequence of int
        Tracks of each fold, one number where there are none. Epochs are chosen fold by fold, settings by the mean over folds.
    groups : np.ndarray of int [shape=(n_tracks,)] or None
        What is never torn apart.
    seed, splits : int
        Of the random halves.
    """
    return _choice(settings, folds, groups, seed, splits, ((0, 0, 1), (1, 1, 0)))


def thirds(settings: Sequence[Setting], folds: Sequence[int], groups: np.ndarray | None = None, seed: int = 0, splits: int = SPLITS) -> Choice:
    """Epochs chosen on a third (validation), the setting on another (test), and the last third asked; by all orders of the three. Parameters as of `halves`."""
    return _choice(settings, folds, groups, seed, splits, ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)))


def told(several: Sequence[Choice]) -> dict[str, Any]:
    """The mean over deals of the tracks, and the difference with its 95 % interval; JSON-able.

    The interval is Student's by the jackknife over blocks of groups, without each of which all choices are made again: on the safe side, since choices
    jump (in 60 simulated searches it was half as wide again as it had to be). That of a mean over deals takes them as independent, though they share
    some tracks.

    Source
    ------
    J. Shao and C. F. J. Wu, "A general theory for jackknife variance estimation", Annals of Statistics 17 (1989), doi:10.1214/aos/1176347263: of estimates
    that are not smooth, with blocks left out.
    """
    from scipy.special import stdtrit

    mean = {name: float(np.mean([getattr(each, name) for each in several])) for name in ("chosen_by", "apart", "deciding")}
    if all(each.validated is not None for each in several):
        mean["validated"] = float(np.mean([each.validated for each in several]))
    difference, interval = mean["chosen_by"] - mean["apart"], None
    if all(len(each.left_out) > 1 for each in several):
        variances = [(len(each.left_out) - 1) * float(np.var(each.left_out)) for each in several]
        blocks = min(len(each.left_out) for each in several)
        reach = float(stdtrit(blocks - 1, 0.975)) * math.sqrt(sum(variances)) / len(several)
        interval = [difference - reach, difference + reach]
    counts = {name: sum(getattr(each, name) for each in several) for name in ("tracks", "groups")}
    return mean | {"difference": difference, "interval": interval, "deals": len(several)} | counts


def _choice(
    settings: Sequence[Setting], folds: Sequence[int], groups: np.ndarray | None, seed: int, splits: int, roles: Sequence[tuple[int, int, int]]
) -> Choice:
    numbers, sizes = groups_of(groups, sum(folds))
    count = 1 + max(max(each) for each in roles)
    drawn = _parts(numbers, sizes, count, seed, splits)
    whole = _asked(settings, folds, drawn, roles)
    blocks = np.random.default_rng([seed, 1]).permutation(len(sizes)) % BLOCKS
    left_out = []
    for block in range(BLOCKS if len(sizes) >= 2 * BLOCKS else 0):
        without = _asked(settings, folds, np.where((blocks == block)[numbers], -1, drawn), roles)
        left_out.append(without[0] - without[1])
    validated = whole[2] if count == 3 else None
    return Choice(whole[0], whole[1], np.array(left_out), len(numbers), len(sizes), len(numbers) / count, validated)


def _asked(settings: Sequence[Setting], folds: Sequence[int], drawn: np.ndarray, roles: Sequence[tuple[int, int, int]]) -> tuple[float, float, float]:
    """Mean scores on the tracks that decide between settings, on those that decide nothing, and on the former of the setting that validation chooses."""
    scores = np.zeros(3)
    for by_epoch, by_setting, other in roles:
        epochs, by_validation = _best_epochs(settings, folds, drawn == by_epoch)
        deciding, rest = drawn == by_setting, drawn == other
        hits = _hits_of(settings, folds, _scores_at(settings, folds, epochs, deciding).argmax(axis=0), epochs)
        scores[0] += hits[deciding].mean()
        scores[1] += hits[rest].mean()
        scores[2] += _hits_of(settings, folds, by_validation.argmax(axis=0), epochs)[deciding].mean()
    return tuple(float(score) / len(roles) for score in scores)


def _parts(numbers: np.ndarray, sizes: np.ndarray, count: int, seed: int, splits: int) -> np.ndarray:
    """Part of each track in each split [shape=(splits, n_tracks)], whole groups dealt so that parts are as large as each other."""
    rng = np.random.default_rng(seed)
    drawn = np.empty((splits, len(sizes)), dtype=np.int64)
    for split in range(splits):
        order = rng.permutation(len(sizes))
        middle = np.cumsum(sizes[order]) - sizes[order] / 2
        drawn[split, order] = np.minimum((middle / sizes.sum() * count).astype(np.int64), count - 1)
    return drawn[:, numbers]


def _best_epochs(settings: Sequence[Setting], folds: Sequence[int], inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best epoch by some tracks [shape=(n_settings, n_folds, splits)], and the score with these [shape=(n_settings, splits)]."""
    epochs = np.empty((len(settings), len(folds), len(inside)), dtype=np.int64)
    for place, setting in enumerate(settings):
        for fold, columns in enumerate(_columns(folds)):
            # Ties go to the earlier epoch, as with early stopping.
            epochs[place, fold] = (setting[fold].astype(np.float32) @ inside[:, columns].T.astype(np.float32)).argmax(axis=0)
    return epochs, _scores_at(settings, folds, epochs, inside)


def _scores_at(settings: Sequence[Setting], folds: Sequence[int], epochs: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean over folds of the score on some tracks [shape=(n_settings, splits)]; a fold without any of them has no say."""
    scores = np.empty((len(settings), len(folds), len(inside)))
    for place, setting in enumerate(settings):
        for fold, columns in enumerate(_columns(folds)):
            own = inside[:, columns]
            counts = own.sum(axis=1)
            hits = (setting[fold][epochs[place, fold]] * own).sum(axis=1)
            scores[place, fold] = np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)
    return np.nanmean(scores, axis=1)


def _hits_of(settings: Sequence[Setting], folds: Sequence[int], chosen: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Which tracks the chosen setting tells right at its epochs [shape=(splits, n_tracks)]."""
    hits = np.empty((len(chosen), sum(folds)), dtype=bool)
    for place, setting in enumerate(settings):
        rows = np.flatnonzero(chosen == place)
        for fold, columns in enumerate(_columns(folds)):
            hits[rows, columns] = setting[fold][epochs[place, fold, rows]]
    return hits


def _columns(folds: Sequence[int]) -> list[slice]:
    ends = np.cumsum(folds)
    return [slice(int(end - size), int(end)) for size, end in zip(folds, ends, strict=True)]

"""Claimed against measured: intervals, differences, and the three verdicts. Pure.

The claim and what is measured here are of different tracks, so their difference has the interval of two independent scores (square-and-add: Newcombe 1998,
"Interval estimation for the difference between independent proportions", method 10, generalised to any two intervals). 95 % throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genre_models.resampling import Paired, mean_interval, proportion_interval
from genre_models.resampling.intervals import wilson

AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"
#: Two accuracies agree where their difference, with its interval, is known to lie within so much of 0.
MARGIN = 0.10

Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """An accuracy.

    Attributes
    ----------
    value : float
    interval : tuple of float or None
        None where it would not be valid.
    n : int or None
        Tracks.
    """

    value: float
    interval: Interval | None
    n: int | None = None

    def __str__(self) -> str:
        told = f"{self.value:.3f}" + ("" if self.interval is None else f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]")
        return told + ("" if self.n is None else f", n = {self.n}")


def claimed(value: float, n: int | None) -> Score:
    """A published accuracy, with Wilson's interval from its number of tracks."""
    return Score(value, None if n is None else wilson(value, n), n)


def score(scores: np.ndarray, groups: np.ndarray | None = None, n: int | None = None) -> Score:
    """What was measured on each of `n` tracks, as an accuracy; `scores` are hits, or shares of several trainings that hit."""
    values = np.asarray(scores, dtype=np.float64)
    interval = proportion_interval if np.isin(values, (0.0, 1.0)).all() else mean_interval
    return Score(float(values.mean()), interval(values, groups), len(values) if n is None else n)


def difference(ours: Score, theirs: Score) -> tuple[float, Interval | None]:
    """Ours minus theirs, and its interval."""
    if ours.interval is None or theirs.interval is None:
        return ours.value - theirs.value, None
    down = math.hypot(ours.value - ours.interval[0], theirs.interval[1] - theirs.value)
    up = math.hypot(ours.interval[1] - ours.value, theirs.value - theirs.interval[0])
    off = ours.value - theirs.value
    return off, (off - down, off + up)


def same_accuracy(ours: Score, theirs: Score) -> str:
    """Whether an accuracy is the claimed one: `differs` where the interval of the difference leaves 0 out, `agrees` where it stays within the margin."""
    _, interval = difference(ours, theirs)
    if interval is None:
        return CANNOT_TELL
    if not interval[0] <= 0 <= interval[1]:
        return DIFFERS
    return AGREES if -MARGIN <= interval[0] and interval[1] <= MARGIN else CANNOT_TELL


def is_better(found: Paired) -> str:
    """Whether the first of two compared models is better, as was claimed."""
    if found.is_tie:
        return CANNOT_TELL
    return AGREES if found.difference > 0 else DIFFERS


def is_exactly(ours: float, theirs: float) -> str:
    """Of counts, which have no error."""
    return AGREES if ours == theirs else DIFFERS


def all_of(verdicts: Sequence[str]) -> str:
    """A claim in several parts: it differs where a part does, and agrees where all parts do."""
    if not verdicts or DIFFERS in verdicts:
        return DIFFERS if verdicts else CANNOT_TELL
    return AGREES if set(verdicts) == {AGREES} else CANNOT_TELL


def signed(value: float, interval: Interval | None) -> str:
    """A difference in words: ``+0.031 [-0.020, +0.082]``."""
    return f"{value:+.3f}" + ("" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]")

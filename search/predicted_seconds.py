"""How many seconds an epoch of a configuration takes, predicted from its declared work and the trials that ran. Pure.

The logarithm of the seconds is a line in the logarithm of the work, one slope for all families and a level for each. Before there are trials the
slope is near what recorded studies gave (``scripts/bench_frugal.py seconds`` prints theirs): an epoch has parts that do not grow with the network, so it is
nearer 0.5 than 1. Trials that ran correct it by as much as they are sure of (a normal prior, so the least squares are penalised).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: Slope of log seconds over log work before anything ran, and how sure that is.
PRIOR_SLOPE, _SLOPE_SD = 0.5, 0.2
#: How far families lie apart in log seconds at equal work, and single epochs from the line.
_FAMILY_SD, _NOISE_SD = 1.0, 0.15
#: The level is the machine's, so nothing is known of it before.
_LEVEL_SD = 10.0


@dataclass(frozen=True)
class Timed:
    """What a trial's epochs took.

    Attributes
    ----------
    family : str
    work : float > 0
        Declared for an epoch, 10^9 floating point operations.
    seconds : float > 0
        Of an epoch, the mean.
    """

    family: str
    work: float
    seconds: float


class SecondsModel:
    """A prediction for each configuration.

    Parameters
    ----------
    timed : iterable of Timed
        Of the trials that ran, in any order; without them predictions compare, but are no seconds.
    """

    def __init__(self, timed: Iterable[Timed] = ()) -> None:
        known = list(timed)
        self._families = sorted({t.family for t in known})
        x = np.array([self._row(t.family, t.work) for t in known]).reshape(len(known), 2 + len(self._families))
        y = np.array([math.log(t.seconds) for t in known])
        prior = np.array([0.0, PRIOR_SLOPE, *(0.0 for _ in self._families)])
        precision = np.diag(1 / np.array([_LEVEL_SD, _SLOPE_SD, *(_FAMILY_SD for _ in self._families)]) ** 2)
        residual = y - x @ prior
        self._weights = prior + np.linalg.solve(precision + x.T @ x / _NOISE_SD**2, x.T @ residual / _NOISE_SD**2)

    def _row(self, family: str, work: float) -> list[float]:
        return [1.0, math.log(work), *(float(family == each) for each in self._families)]

    @property
    def slope(self) -> float:
        """Of log seconds over log work."""
        return float(self._weights[1])

    def seconds(self, family: str, work: float) -> float:
        """Of an epoch of that family with so much declared work; a family that nothing ran of lies with the others."""
        return math.exp(float(np.dot(self._row(family, work), self._weights)))

"""Which of several proposals is tried: a configuration's chance falls with the square of what an epoch of it is predicted to cost. Pure.

Divided by the seconds alone, a search would spend as many seconds on the cheap half of what its sampler proposes as on the dear half; with the square it
spends more on the cheap half, which on recorded curves was better (docs/benchmarks.md, "Frugal search"). Nothing is excluded: among eight proposals of which
all but the cheapest cost three times as much, one of these is tried nearly every other time. Where seconds do not follow the declared work the prediction
soon says so, and the lot is even.

Source of the idea: Snoek, Larochelle, Adams 2012, "Practical Bayesian Optimization of Machine Learning Algorithms", NeurIPS, section 3.2 (expected improvement
per second). arXiv:1206.2944
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.predicted_seconds import SecondsModel, Timed
from search.rules import SpecParts
from search.trial import Trial

#: (family, sampled values by parameter name)
Point = tuple[str, dict[str, Any]]
#: (family, sampled values) -> declared work of an epoch, 10^9 floating point operations; None where it is not known, infinite where it would be refused.
Work = Callable[[str, Mapping[str, Any]], float | None]
#: So many proposals are weighed.
CANDIDATES = 8
#: Of the predicted seconds, by which a chance is divided.
POWER = 2


class Thrift:
    """Chooses among proposals of one family.

    Parameters
    ----------
    work : callable
        Declared work of a configuration (`Work`).
    candidates : int >= 2
    power : float >= 0
        Of the predicted seconds, by which a chance is divided.
    """

    def __init__(self, work: Work, candidates: int = CANDIDATES, power: float = POWER) -> None:
        self._work, self.candidates, self._power = work, candidates, power
        self._timed: dict[int, Timed] = {}

    def clear(self) -> None:
        """Forget all trials."""
        self._timed.clear()

    def note(self, trial: Trial, sampled: Mapping[str, Any]) -> None:
        """A trial ended or waits; how long its epochs took corrects what is predicted."""
        seconds, epochs = trial.outcome.get("fit_seconds"), trial.outcome.get("epochs", 0) * trial.outcome.get("parts", 1)
        if not seconds or not epochs or trial.is_at_once:
            return
        work = self._work(trial.family, sampled)
        if work is not None and 0 < work < math.inf:
            self._timed[trial.number] = Timed(trial.family, work, seconds / epochs)

    def choose(self, points: Sequence[Point], seed: int) -> Point:
        """One of the points, by lot, its chance divided by a power of the predicted seconds of an epoch; the first where the work of one is not known.

        A point that would be refused is not chosen where there is another.
        """
        works = [self._work(family, sampled) for family, sampled in points]
        if any(work is None or work <= 0 for work in works):
            return points[0]
        model = SecondsModel(self._timed[number] for number in sorted(self._timed))
        chances = [0.0 if math.isinf(work) else model.seconds(family, work) ** -self._power for (family, _), work in zip(points, works, strict=True)]
        return random.Random(seed).choices(points, chances)[0] if sum(chances) else points[0]


def declared_work(parts: SpecParts, family: str, sampled: Mapping[str, Any]) -> float | None:
    """`Work`, as the screen that looks at each configuration before it is built tells it: ``epoch_gflops``."""
    try:
        return parts.screen(parts.spec(family, sampled, 0)).get("epoch_gflops")
    except Exception as error:
        if getattr(error, "reason_code", None) != "refused":
            raise
        return math.inf

"""Where a trial meets a rung: after so many epochs, or after so many seconds of training. Pure.

A rung is a level of the resource. In epochs every trial meets it with the epoch of that number; in seconds with the first epoch that ends no
earlier, so a trial whose epochs are long has had fewer of them there, and is compared with what others had made of the same time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from search.trial import Trial, standing

#: Rungs in seconds end here: nobody trains for a century.
_LONGEST_SECONDS = 3.2e9
#: Sums of measured seconds: a trial that is short of a rung by rounding alone has reached it.
_ROUNDING = 1e-9


class Ladder(Protocol):
    """The rungs of a search."""

    levels: Sequence[float]

    def reached(self, trial: Trial, epoch: int) -> Sequence[float]:
        """Rungs that a trial meets with that epoch, ascending."""
        ...

    def epoch_of(self, trial: Trial, level: float) -> int | None:
        """The epoch with which a trial met a rung; None where it did not."""
        ...

    def skipped(self, trial: Trial, epoch: float) -> Sequence[float]:
        """Rungs that a trial stands at by `epoch` (infinite: for good) without having met them."""
        ...

    def standing(self, trial: Trial, level: float, maximize: bool) -> float | None:
        """What a trial stands with at a rung that it met or skipped."""
        ...

    def step(self, trial: Trial) -> int:
        """How far a trial with reports came, for a sampler that compares stopped trials: those stopped at one rung came as far as one another."""
        ...


class EpochLadder:
    """Rungs in epochs.

    Parameters
    ----------
    levels : sequence of int
        Ascending, without the full budget (:func:`search.schedule.rungs`).
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = tuple(levels)

    def reached(self, trial: Trial, epoch: int) -> Sequence[int]:
        """The rung of that number, if there is one."""
        return (epoch,) if epoch in self.levels else ()

    def epoch_of(self, trial: Trial, level: int) -> int | None:
        """The rung's number, if the trial reported it."""
        return level if level in trial.reports else None

    def skipped(self, trial: Trial, epoch: float) -> Sequence[int]:
        """Rungs below `epoch` that it did not report: of a trial that stopped early by itself, or whose family reports once."""
        return [level for level in self.levels if level < epoch and level not in trial.reports] if trial.reports else []

    def standing(self, trial: Trial, level: int, maximize: bool) -> float | None:
        """Its best up to there, or where it reported nothing so early its best."""
        return standing(trial, level, maximize)

    def step(self, trial: Trial) -> int:
        """Its last epoch."""
        return max(trial.reports)


class SecondsLadder:
    """Rungs in seconds of training, at ``min_seconds``, and a factor further each, as far as anybody trains.

    Several may be met with one epoch. A trial that has had all its epochs stands at every rung above with its value: who trains on must be better
    than what the others came to with less.

    Parameters
    ----------
    min_seconds : float > 0
        The first rung.
    reduction_factor : int >= 2
    min_epochs : int >= 1
        No rung is met before that epoch.
    """

    def __init__(self, min_seconds: float, reduction_factor: int, min_epochs: int = 1) -> None:
        levels = [float(min_seconds)]
        while levels[-1] * reduction_factor < _LONGEST_SECONDS:
            levels.append(levels[-1] * reduction_factor)
        self.levels, self._min_epochs = tuple(levels), min_epochs

    def reached(self, trial: Trial, epoch: int) -> Sequence[float]:
        """Rungs that no epoch before had reached."""
        if epoch < self._min_epochs:
            return ()
        before, now = self._met_before(trial, epoch), self._trained(trial, epoch)
        return self.levels[bisect_right(self.levels, before) : bisect_right(self.levels, now)]

    def epoch_of(self, trial: Trial, level: float) -> int | None:
        """The first epoch that ended no earlier."""
        return next((e for e in sorted(trial.reports) if e >= self._min_epochs and self._trained(trial, e) >= level), None)

    def skipped(self, trial: Trial, epoch: float) -> Sequence[float]:
        """For good all that it had not met before its last epoch, after which nobody asks; until then none."""
        if not trial.reports or epoch < math.inf:
            return ()
        return self.levels[bisect_right(self.levels, self._met_before(trial, max(trial.reports))) :]

    def standing(self, trial: Trial, level: float, maximize: bool) -> float | None:
        """Its best up to the epoch that met the rung, or where none did its best."""
        return trial.best(maximize, self.epoch_of(trial, level))

    def step(self, trial: Trial) -> int:
        """How many rungs it met: epochs would make whoever trains fast the one who came far."""
        return bisect_right(self.levels, self._trained(trial, max(trial.reports)))

    def _met_before(self, trial: Trial, epoch: int) -> float:
        """The seconds up to which rungs were met with earlier epochs."""
        before = epoch - 1
        while before >= self._min_epochs and before not in trial.reports:
            before -= 1
        return self._trained(trial, before) if before >= self._min_epochs else -math.inf

    @staticmethod
    def _trained(trial: Trial, epoch: int) -> float:
        """Seconds of training up to the end of an epoch; as of the epoch before where that one's are not known."""
        while epoch > 0 and epoch not in trial.seconds:
            epoch -= 1
        return trial.seconds.get(epoch, 0.0) * (1 + _ROUNDING)


def as_ladder(levels: Sequence[int] | Ladder) -> Ladder:
    """Levels alone are epochs."""
    return EpochLadder(levels) if isinstance(levels, Sequence) else levels

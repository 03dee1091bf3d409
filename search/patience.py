"""How long a worker may be silent. Pure: it is told the time.

Units: seconds on any clock that only goes forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: A silence this many times as long as a trial's slowest epoch so far is not an epoch any more.
FACTOR = 20.0


@dataclass
class _Heard:
    at: float
    slowest: float | None = None  # between two signs of life
    first: float = 0.0  # until the first: what is built or read before it may be so again, as where fine-tuning begins


@dataclass
class Patience:
    """Signs of life of the trials under way.

    The first limit is generous, because before the first epoch everything is built and what is missing of the features is made; later ones
    follow from the trial itself.

    Attributes
    ----------
    first_seconds : float
        Until the first sign.
    later_seconds : float
        Between two signs, at least; a trial whose epochs are long may take :data:`FACTOR` times its slowest, and any as long as until its first.
    """

    first_seconds: float
    later_seconds: float
    _trials: dict[int, _Heard] = field(default_factory=dict)

    def begun(self, number: int, now: float) -> None:
        """A worker has begun with a trial."""
        self._trials[number] = _Heard(now)

    def heard(self, number: int, now: float, took: float | None = None) -> None:
        """It gave a sign of life, after an epoch that `took` so long; None: all that went by since the last sign counts, as where building came before it."""
        if (trial := self._trials.get(number)) is not None:
            trial.first = trial.first or now - trial.at
            trial.slowest = max(trial.slowest or 0.0, now - trial.at if took is None else took)
            trial.at = now

    def ended(self, number: int) -> None:
        """Nothing more is expected of it."""
        self._trials.pop(number, None)

    def forgive(self, seconds: float) -> None:
        """The listener itself was away for so long: nobody's silence."""
        for trial in self._trials.values():
            trial.at += seconds

    def limit(self, number: int) -> float:
        """Seconds that the trial may be silent for now."""
        trial = self._trials[number]
        return self.first_seconds if trial.slowest is None else max(self.later_seconds, trial.first, FACTOR * trial.slowest)

    def overdue(self, now: float) -> dict[int, float]:
        """Trials that were silent for too long, with their silence in seconds."""
        silent = {number: now - trial.at for number, trial in self._trials.items()}
        return {number: seconds for number, seconds in silent.items() if seconds > self.limit(number)}

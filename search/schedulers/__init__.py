"""Who goes on, who waits, who ends, and what a free worker does next.

A scheduler hears of every trial and answers two questions: after an epoch, "does this trial go on?" (:meth:`Scheduler.decide`), and when a worker
is free, "a new trial, or a paused one?" (:meth:`Scheduler.next`). It knows no storage, no clock and no engine; what it holds is rebuilt from
the study at every start. Trials are known by their root (:attr:`search.trial.Trial.root`), so a retry stands where the lost trial stood.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from search.trial import Decision, Trial


@dataclass(frozen=True)
class Start:
    """A new trial.

    Attributes
    ----------
    family : str or None
        None leaves the choice to the sampler.
    bracket : int or None
        The bracket it is to join, counted over the study.
    """

    family: str | None = None
    bracket: int | None = None


@dataclass(frozen=True)
class Resume:
    """A paused trial goes on; `root` is the root of its line."""

    root: int


class Scheduler(Protocol):
    """What the loop asks of a scheduler."""

    def next(self, may_start: bool) -> Start | Resume | None:
        """What a free worker should do; None is to wait. `may_start` is False where the study's trials are used up."""
        ...

    def begun(self, trial: Trial) -> None:
        """A new trial, or a lost one's successor, has begun."""
        ...

    def resumed(self, trial: Trial) -> None:
        """A paused trial goes on."""
        ...

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """Whether a trial whose best value up to `epoch` is `best` goes on."""
        ...

    def parked(self, trial: Trial) -> None:
        """A paused trial's checkpoint is written; from now on it can be resumed."""
        ...

    def ended(self, trial: Trial, requeued: bool) -> None:
        """A trial ended; `requeued` where a successor takes its place."""
        ...

    def exhausted(self, family: str) -> None:
        """The sampler has nothing more of a family that was asked for."""
        ...

    def losers(self) -> Sequence[int]:
        """Roots of parked trials that will never go on."""
        ...

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Take in the trials of a study that is gone on with, in the order of their numbers."""
        ...

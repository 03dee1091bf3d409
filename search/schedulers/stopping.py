"""ASHA with one table of rungs for each family, and no scheduler at all: trials are stopped or run on, never paused.

A transfer head is good at epoch 1, a network from scratch is not; compared with one another at the first rung the slow
starters would all be stopped. So a trial is only ever compared with trials of its own family.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from search.schedulers import Resume, Start
from search.schedulers.ladder import Ladder, as_ladder
from search.schedulers.rung import Rung
from search.trial import Decision, Trial


class RunAll:
    """``scheduler: none``: every trial runs to its full budget."""

    def next(self, may_start: bool) -> Start | Resume | None:
        """A new trial while there may be one."""
        return Start() if may_start else None

    def begun(self, trial: Trial) -> None:
        """Nothing to keep."""

    def resumed(self, trial: Trial) -> None:
        """Never asked for: nothing is paused."""

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """Always continue."""
        return Decision.CONTINUE

    def parked(self, trial: Trial) -> None:
        """Never asked for: nothing is paused."""

    def ended(self, trial: Trial, requeued: bool) -> None:
        """Nothing was kept."""

    def exhausted(self, family: str) -> None:
        """Never told: it asks for no family."""

    def losers(self) -> Sequence[int]:
        """None: nothing is paused."""
        return ()

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Nothing to rebuild."""


class Asha(RunAll):
    """Asynchronous successive halving, stopping variant, stratified by family.

    At a rung a trial goes on if its best value so far is among the best ``1/reduction_factor`` of the values its family
    has at that rung, its own included; while there are fewer than `reduction_factor` of them, if it is the best. A family's
    declared defaults always go on: they are what its winner is measured by.

    Parameters
    ----------
    levels : sequence of int, or Ladder
        Rungs: in epochs, ascending (:func:`search.schedule.rungs`), or whatever a ladder says.
    reduction_factor : int >= 2
    maximize : bool

    Source
    ------
    Li et al. 2020, Algorithm 2, arXiv:1810.05934. It is the stopping form, as in Optuna and Ray Tune: a trial
    below the cut ends instead of waiting. The stratification is ours.
    """

    def __init__(self, levels: Sequence[int] | Ladder, reduction_factor: int, maximize: bool) -> None:
        self._ladder = as_ladder(levels)
        self._reduction_factor = reduction_factor
        self._maximize, self._sign = maximize, 1.0 if maximize else -1.0
        self._table: dict[tuple[str, float], Rung] = {}

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """Continue or stop."""
        self._stand(trial, epoch)
        reached = self._ladder.reached(trial, epoch)
        for level in reached:
            self._put(trial, level, best)
        if not reached or trial.has_defaults:
            return Decision.CONTINUE
        rung = self._table[trial.family, reached[-1]]
        keep = max(1, len(rung) // self._reduction_factor)
        return Decision.CONTINUE if rung[trial.root] >= rung.value_at(keep - 1) else Decision.STOP

    def ended(self, trial: Trial, requeued: bool) -> None:
        """A trial that had all its epochs, or stopped early by itself, stands with its value at the rungs it did not reach; one that failed stands nowhere."""
        if trial.state == "FAIL" and not requeued:
            for rung in self._table.values():
                rung.drop(trial.root)
        elif trial.state == "COMPLETE":
            self._stand(trial, math.inf)

    def _stand(self, trial: Trial, epoch: float) -> None:
        for level in self._ladder.skipped(trial, epoch):
            self._note(trial, level)

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Fill the table from the study's trials; those that wait to go on stand with what they have reported."""
        for trial in trials:
            if trial.state == "FAIL" or not trial.reports:
                continue
            for level in self._ladder.levels:
                if self._ladder.epoch_of(trial, level) is not None:
                    self._note(trial, level)
            self._stand(trial, max(trial.reports))
            self.ended(trial, requeued=False)

    def _note(self, trial: Trial, level: float) -> None:
        self._put(trial, level, self._ladder.standing(trial, level, self._maximize))

    def _put(self, trial: Trial, level: float, value: float) -> None:
        self._table.setdefault((trial.family, level), Rung()).put(trial.root, self._sign * value)

"""ASHA as published: at a rung every trial waits, and a free worker takes one of those that may go on, the longest waiting first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from search.schedulers import Resume, Start
from search.schedulers.rung import Rung
from search.trial import Decision, Trial, standing


class AshaPromotion:
    """Asynchronous successive halving by promotion, stratified by family.

    Whenever a worker is free, the highest rung is looked for that has, among the best ``1/reduction_factor`` of its values (its family's,
    rounded down), a trial that has not been promoted; that trial goes on from its checkpoint to the next rung. Where there is none, a new
    trial begins. A trial that would be chosen at the very moment it reaches its rung goes on at once, without a checkpoint.

    Parameters
    ----------
    levels : tuple of int
        Rungs in epochs, ascending, without the full budget (:func:`search.schedule.rungs`).
    reduction_factor : int >= 2
    maximize : bool

    Source
    ------
    Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys, Algorithm 2 (get_job). arXiv:1810.05934
    """

    def __init__(self, levels: tuple[int, ...], reduction_factor: int, maximize: bool) -> None:
        self._levels = levels
        self._reduction_factor = reduction_factor
        self._maximize, self._sign = maximize, 1.0 if maximize else -1.0
        self._values: dict[tuple[str, int], Rung] = {}
        self._promoted: set[tuple[int, int]] = set()  # (level, root)
        self._parked: dict[int, tuple[int, Trial]] = {}  # by root, with the turn of its parking
        self._waiting: dict[tuple[str, int], Rung] = {}  # of the values, those of the parked
        self._turns = count()

    def next(self, may_start: bool) -> Start | Resume | None:
        """The paused trial to promote, if any; else a new one."""
        for level in reversed(self._levels):
            able = [root for (family, at), waiting in self._waiting.items() if at == level for root in self._able(family, level, waiting)]
            if able:
                return Resume(min(able, key=lambda root: self._parked[root][0]))
        return Start() if may_start else None

    def _able(self, family: str, level: int, waiting: Rung) -> Iterator[int]:
        """Roots that wait at a rung and are among its best."""
        for root in waiting:
            if not self._is_best(family, level, root):
                return
            if (level, root) not in self._promoted:
                yield root

    def begun(self, trial: Trial) -> None:
        """Nothing to keep: it has no value yet."""

    def resumed(self, trial: Trial) -> None:
        """It is promoted: by the rule, or because the search ends with it."""
        self._unpark(trial.root)
        self._promoted.update((level, trial.root) for level in self._levels if level <= max(trial.reports, default=0))

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """At a rung: wait, unless it would be chosen at once."""
        self._stand(trial, epoch)
        if epoch not in self._levels:
            return Decision.CONTINUE
        self._values.setdefault((trial.family, epoch), Rung()).put(trial.root, self._sign * best)
        if (epoch, trial.root) in self._promoted:
            return Decision.CONTINUE  # it has been here before, and does again what a lost checkpoint held
        chosen = self.next(may_start=False)
        higher = isinstance(chosen, Resume) and self._parked[chosen.root][1].paused >= epoch
        if higher or not self._is_best(trial.family, epoch, trial.root):
            return Decision.PAUSE
        self._promoted.add((epoch, trial.root))
        return Decision.CONTINUE

    def parked(self, trial: Trial) -> None:
        """It waits, and may be promoted."""
        self._parked[trial.root] = next(self._turns), trial
        place = trial.family, trial.paused
        if place in self._values:
            self._waiting.setdefault(place, Rung()).put(trial.root, self._values[place][trial.root])

    def _unpark(self, root: int) -> None:
        if self._parked.pop(root, None) is not None:
            for waiting in self._waiting.values():
                waiting.drop(root)

    def ended(self, trial: Trial, requeued: bool) -> None:
        """One that stopped early by itself stands at the rungs above; one that failed stands nowhere."""
        self._unpark(trial.root)
        if trial.state == "FAIL":
            if not requeued:
                self._forget(trial.root)
        elif trial.end == "early-stop":
            self._stand(trial, math.inf)

    def _stand(self, trial: Trial, epoch: float) -> None:
        """A trial that stopped early by itself stands, with its value, at the rungs below `epoch` that it did not report."""
        for level in self._levels:
            if level < epoch and level not in trial.reports and trial.reports:
                self._note(trial, level)
                self._promoted.add((level, trial.root))

    def exhausted(self, family: str) -> None:
        """Never told: it asks for no family."""

    def losers(self) -> Sequence[int]:
        """None while the search goes on: a later trial may lift any."""
        return ()

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Values from the reports; promoted is what has trained beyond a rung or ended there for good."""
        for trial in trials:
            if trial.state == "FAIL" or not trial.reports:
                continue
            reached = max(trial.reports)
            self._stand(trial, reached)
            for level in self._levels:
                if level in trial.reports:
                    self._note(trial, level)
                    if level < reached or trial.state == "COMPLETE" or trial.end is not None:
                        self._promoted.add((level, trial.root))
            if trial.paused is not None:
                self.parked(trial)
            elif trial.end is not None:
                self.ended(trial, requeued=False)

    def _is_best(self, family: str, level: int, root: int) -> bool:
        """True if the root is in the best ``1/reduction_factor`` of a rung, rounded down."""
        values = self._values[family, level]
        return values.is_among(root, len(values) // self._reduction_factor)

    def _note(self, trial: Trial, level: int) -> None:
        self._values.setdefault((trial.family, level), Rung()).put(trial.root, self._sign * standing(trial, level, self._maximize))

    def _forget(self, root: int) -> None:
        for values in self._values.values():
            values.drop(root)

"""A scheduler on recorded learning curves, in simulated time: what hours of training would have shown, in milliseconds. Pure.

Source of the idea: Salinas et al. 2022, "Syne Tune", AutoML-Conf (simulated back end on tables of recorded curves).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from search.schedulers import Resume, Scheduler, Start
from search.trial import Decision, End, Trial


@dataclass(frozen=True)
class Curve:
    """A configuration that was trained to the end.

    Attributes
    ----------
    family : str
    values : tuple of float
        The objective after each epoch.
    seconds : float
        An epoch takes.
    row : int
        Which configuration it is, for whoever drew it.
    """

    family: str
    values: tuple[float, ...]
    seconds: float = 1.0
    row: int = -1


@dataclass
class Simulated:
    """What happened.

    Attributes
    ----------
    trials : list of Trial
    curves : list of Curve
        Of the trials, by number.
    leaders : list of (float, int)
        (second, number of the trial that would be named the winner from then on).
    epochs : int
        Trained in all.
    busy : list of float
        Seconds that each worker worked.
    seconds : float
        When the last worker was done.
    """

    trials: list[Trial] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    leaders: list[tuple[float, int]] = field(default_factory=list)
    epochs: int = 0
    busy: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def leader(self, second: float) -> Curve | None:
        """The configuration that would have been named the winner at that time."""
        number = next((n for at, n in reversed(self.leaders) if at <= second), None)
        return None if number is None else self.curves[number]


def simulate(
    scheduler: Scheduler,
    draw: Callable[[int, str | None], Curve | None],
    *,
    workers: int,
    maximize: bool = True,
    trials: int | None = None,
    seconds: float = float("inf"),
    learn: Callable[[Trial], None] = lambda trial: None,
) -> Simulated:
    """Run a search on curves.

    Parameters
    ----------
    scheduler : Scheduler
    draw : callable
        (number, family or None) -> the curve of a new trial; None where there are no more.
    workers : int
    maximize : bool
    trials : int, optional
        At most so many begin.
    seconds : float
        Nothing is looked at after that time.
    learn : callable
        Hears of each trial that ended or paused.

    Returns
    -------
    Simulated
    """
    return _Simulation(scheduler, draw, maximize, trials, learn, workers).run(seconds)


class _Simulation:
    def __init__(self, scheduler, draw, maximize, trials, learn, workers: int) -> None:
        self._scheduler, self._draw, self._maximize, self._most, self._learn = scheduler, draw, maximize, trials, learn
        self._done = Simulated(busy=[0.0] * workers)
        self._idle = list(range(workers))
        self._events: list[tuple[float, int, int]] = []  # (end of the epoch, worker, trial)
        self._no_more = False
        self._best: list[float] = []  # of each trial so far

    def run(self, seconds: float) -> Simulated:
        self._fill(0.0)
        while self._events and self._events[0][0] <= seconds:
            now, worker, number = heapq.heappop(self._events)
            self._done.seconds = now
            self._epoch_ended(now, worker, number)
            self._fill(now)
        return self._done

    def _fill(self, now: float) -> None:
        while self._idle:
            trial = self._next()
            if trial is None:
                return
            self._train(now, self._idle.pop(0), trial)

    def _next(self) -> Trial | None:
        started = len(self._done.trials)
        while True:
            move = self._scheduler.next(not self._no_more and (self._most is None or started < self._most))
            if isinstance(move, Resume):
                trial = next(t for t in self._done.trials if t.root == move.root)
                trial.paused, trial.state = None, "RUNNING"
                self._scheduler.resumed(trial)
                return trial
            if not isinstance(move, Start):
                return self._last_one()
            curve = self._draw(started, move.family)
            if curve is not None:
                trial = Trial(started, "RUNNING", {"family": curve.family, "epochs": len(curve.values)}, bracket=move.bracket)
                self._done.trials.append(trial)
                self._done.curves.append(curve)
                self._best.append(-math.inf if self._maximize else math.inf)
                self._scheduler.begun(trial)
                return trial
            if move.family is None:
                self._no_more = True
            else:
                self._scheduler.exhausted(move.family)

    def _last_one(self) -> Trial | None:
        """As the loop does it: where nothing has had the full budget, what has come furthest goes on."""
        paused = [t for t in self._done.trials if t.paused is not None]
        if self._events or not paused or any(t.is_full for t in self._done.trials):
            return None
        trial = max(paused, key=self._standing)
        trial.paused, trial.state = None, "RUNNING"
        self._scheduler.resumed(trial)
        return trial

    def _train(self, now: float, worker: int, trial: Trial) -> None:
        curve = self._done.curves[trial.number]
        self._done.busy[worker] += curve.seconds
        heapq.heappush(self._events, (now + curve.seconds, worker, trial.number))

    def _epoch_ended(self, now: float, worker: int, number: int) -> None:
        trial, curve = self._done.trials[number], self._done.curves[number]
        epoch = len(trial.reports) + 1
        trial.reports[epoch] = curve.values[epoch - 1]
        trial.seconds[epoch] = epoch * curve.seconds
        self._best[number] = (max if self._maximize else min)(self._best[number], curve.values[epoch - 1])
        self._done.epochs += 1
        if epoch == len(curve.values):
            self._end(trial, End.FULL)
            decision = Decision.STOP
        else:
            decision = self._scheduler.decide(trial, epoch, self._best[number])
            if decision is Decision.STOP:
                self._end(trial, End.PRUNED)
            elif decision is Decision.PAUSE:
                trial.paused, trial.state = epoch, "WAITING"
                self._scheduler.parked(trial)
                self._learn(trial)
        for root in self._scheduler.losers():
            self._end(self._done.trials[root], End.PRUNED)
        self._note_leader(now, trial)
        if decision is Decision.CONTINUE:
            self._train(now, worker, trial)
        else:
            self._idle.append(worker)

    def _note_leader(self, now: float, trial: Trial) -> None:
        """A trial has an epoch more, so it may have come to stand above who led; the others stand where they stood."""
        leaders = self._done.leaders
        if not leaders or (leaders[-1][1] != trial.number and self._standing(trial) > self._standing(self._done.trials[leaders[-1][1]])):
            leaders.append((now, trial.number))

    def _end(self, trial: Trial, end: End) -> None:
        trial.end, trial.state, trial.paused = str(end), end.state, None
        if end is End.FULL:
            trial.value = self._best[trial.number]
        self._scheduler.ended(trial, requeued=False)
        self._learn(trial)

    def _standing(self, trial: Trial) -> tuple[bool, int, float, int]:
        best = self._best[trial.number]
        length = 0 if trial.is_full else len(trial.reports)
        return trial.is_full, length, best if self._maximize else -best, -trial.number

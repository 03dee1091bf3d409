"""Hyperband with true brackets: all configurations of a rung run to its budget, then the best go on from their checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from search.schedule import BracketPlan
from search.schedulers import Resume, Start
from search.trial import Decision, End, Trial, standing

#: A configuration that failed: never among the best, whatever the others have.
_FAILED = -math.inf


class Hyperband:
    """Algorithm 1 of the paper, on several workers.

    Every bracket is one family's; each family takes each bracket in turn. A rung is decided once all its configurations have its budget;
    workers that are free meanwhile resume what other brackets have decided, fill the newest bracket, or open the next, so that a straggler
    keeps nobody waiting. The last trial of a rung, if it is among the best, goes on at once, without a checkpoint.

    A bracket that the study's trials do not fill is halved from what it has, and at least one goes on.

    Parameters
    ----------
    plans : sequence of BracketPlan
        One round (:func:`search.schedule.brackets`).
    families : sequence of str
    maximize : bool

    Source
    ------
    Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar, JMLR 18(185), 2018, Algorithm 1. arXiv:1603.06560
    """

    def __init__(self, plans: Sequence[BracketPlan], families: Sequence[str], maximize: bool) -> None:
        self._plans, self._families = tuple(plans), tuple(families)
        self._maximize, self._sign = maximize, 1.0 if maximize else -1.0
        self._brackets: list[_Bracket] = []
        self._open: dict[int, _Bracket] = {}  # by number; those that are over need no more looking at
        self._exhausted: set[str] = set()

    def next(self, may_start: bool) -> Start | Resume | None:
        """The oldest bracket's promotion, then a free place, then the next bracket."""
        self._open = {number: bracket for number, bracket in self._open.items() if not bracket.is_over}
        if not may_start:
            for bracket in self._open.values():
                bracket.is_closed = True
        for bracket in self._open.values():
            for root in bracket.survivors():
                if root in bracket.parked:
                    return Resume(root)
        if not may_start or self._exhausted >= set(self._families):
            return None
        for number, bracket in self._open.items():
            if bracket.has_place:
                return Start(bracket.family, number)
        number = len(self._brackets)
        while self._family_of(number) in self._exhausted:
            number += 1
        return Start(self._family_of(number), number)

    def _family_of(self, bracket: int) -> str:
        return self._families[bracket % len(self._families)]

    def begun(self, trial: Trial) -> None:
        """It takes a place in its bracket, or a lost trial's."""
        if trial.bracket is None:
            return  # the study was made before brackets were recorded
        while len(self._brackets) <= trial.bracket:
            number = len(self._brackets)
            plan = self._plans[number // len(self._families) % len(self._plans)]
            self._brackets.append(_Bracket(self._family_of(number), plan))
            self._brackets[-1].is_closed = self._family_of(number) in self._exhausted
            self._open[number] = self._brackets[-1]
        bracket = self._of(trial)
        bracket.members.setdefault(trial.root, len(bracket.members))
        bracket.alive.add(trial.root)

    def resumed(self, trial: Trial) -> None:
        """It goes on to its next rung."""
        self._of(trial).parked.discard(trial.root)

    def decide(self, trial: Trial, epoch: int, best: float) -> Decision:
        """At a rung: wait for the others, or learn at once what they have decided."""
        bracket = self._of(trial)
        self._stand(trial, epoch)
        if epoch not in bracket.plan.levels[:-1]:
            return Decision.CONTINUE
        rung = bracket.plan.levels.index(epoch)
        bracket.values[rung][trial.root] = self._sign * best
        decided = bracket.chosen(rung)
        if decided is None:
            return Decision.PAUSE
        return Decision.CONTINUE if trial.root in decided else Decision.STOP

    def parked(self, trial: Trial) -> None:
        """It waits for its rung to be complete."""
        self._of(trial).parked.add(trial.root)

    def ended(self, trial: Trial, requeued: bool) -> None:
        """Early stops stand at the rungs above with their value; failures lose at every rung."""
        if trial.bracket is None or requeued:
            return
        if trial.end == End.REFUSED and trial.bracket >= len(self._brackets):
            return  # before it began: it would have been the first of its bracket
        bracket = self._of(trial)
        bracket.alive.discard(trial.root)
        if trial.end == End.REFUSED:
            bracket.members.pop(trial.root, None)  # it takes no place
            return
        bracket.parked.discard(trial.root)
        if trial.state == "FAIL":
            for values in bracket.values:
                values.setdefault(trial.root, _FAILED)
        elif trial.end == End.EARLY_STOP:
            self._stand(trial, math.inf)

    def _stand(self, trial: Trial, epoch: float) -> None:
        """A trial that stopped early by itself stands, with its value, at the rungs below `epoch` that it did not report."""
        bracket = self._of(trial)
        for rung, level in enumerate(bracket.plan.levels[:-1]):
            if level < epoch and level not in trial.reports and trial.reports:
                bracket.values[rung][trial.root] = self._sign * standing(trial, level, self._maximize)

    def exhausted(self, family: str) -> None:
        """Its brackets are halved from what they have, and it takes no more of them."""
        self._exhausted.add(family)
        for bracket in self._open.values():
            bracket.is_closed |= bracket.family == family

    def losers(self) -> Sequence[int]:
        """Parked trials of decided rungs that are not among the best."""
        return [root for bracket in self._open.values() for root in bracket.losers()]

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Brackets from the trials' own record of where they belong."""
        trials = [t for t in trials if t.bracket is not None and t.end != End.REFUSED]
        succeeded = {t.retry_of for t in trials}
        for trial in trials:
            self.begun(trial)
            bracket = self._of(trial)
            for rung, level in enumerate(bracket.plan.levels[:-1]):
                if level in trial.reports:
                    bracket.values[rung][trial.root] = self._sign * trial.best(self._maximize, level)
            if trial.reports and trial.state != "FAIL":
                self._stand(trial, max(trial.reports))
            # A place that was still free when one went on, or lost, was closed.
            went_on = max(trial.reports, default=0) > bracket.plan.levels[0]
            bracket.is_closed |= len(bracket.plan.levels) > 1 and (went_on or trial.state == "PRUNED")
            if trial.paused is not None:
                bracket.parked.add(trial.root)
            elif trial.end is not None:
                self.ended(trial, requeued=trial.number in succeeded)

    def _of(self, trial: Trial) -> _Bracket:
        return self._brackets[trial.bracket]


class _Bracket:
    """A successive halving under way."""

    def __init__(self, family: str, plan: BracketPlan) -> None:
        self.family, self.plan = family, plan
        self.members: dict[int, int] = {}  # root -> order of beginning
        self.values: list[dict[int, float]] = [{} for _ in plan.levels[:-1]]
        self.parked: set[int] = set()
        self.alive: set[int] = set()  # members that have not ended
        self.is_closed = False  # nothing more begins in it

    @property
    def has_place(self) -> bool:
        """True while another configuration may begin."""
        return not self.is_closed and len(self.members) < self.plan.configurations

    @property
    def is_over(self) -> bool:
        """True once nothing begins in it and nothing goes on."""
        return not self.has_place and not self.alive

    def chosen(self, rung: int) -> list[int] | None:
        """Roots that go on from a rung, or None while one of those that should reach it has not."""
        if rung == 0:
            expected: Iterable[int] | None = None if self.has_place else self.members
        else:
            expected = self.chosen(rung - 1)
        values = self.values[rung]
        if expected is None or any(root not in values for root in expected):
            return None
        able = [root for root in expected if values[root] > _FAILED]
        able.sort(key=lambda root: (-values[root], self.members[root]))
        return able[: max(1, len(list(expected)) // self.plan.reduction_factor)]

    def survivors(self) -> list[int]:
        """Parked roots that may go on from the rung they wait at, furthest first."""
        decided = self._decided()
        return [root for root in self._waiting() if root in (decided[self._rung(root)] or ())]

    def losers(self) -> list[int]:
        """Parked roots whose rung is decided against them."""
        decided = self._decided()
        return [root for root in self._waiting() if (chosen := decided[self._rung(root)]) is not None and root not in chosen]

    def _decided(self) -> list[list[int] | None]:
        return [self.chosen(rung) for rung in range(len(self.values))] if self.parked else []

    def _waiting(self) -> list[int]:
        return sorted(self.parked, key=lambda root: (-self._rung(root), self.members[root]))

    def _rung(self, root: int) -> int:
        """The highest rung it has a value at."""
        return max(rung for rung, values in enumerate(self.values) if root in values)

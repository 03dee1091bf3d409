"""What a free worker should do next, in order of precedence; nothing is done here, the loop carries it out.

While time is left: what was lost is repeated, then whatever the scheduler says, then what is left over, then confirmations. When it is used up: the one
trial that is finished all the same, then confirmations, which no budget bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search.budget import BudgetWatch
from search.confirm import next_to_confirm
from search.rules import Monitor, Rules
from search.schedulers import Resume, Start
from search.study import StudyOwner
from search.trial import Trial


@dataclass(frozen=True)
class StartNew:
    """A new trial, as the scheduler wants it."""

    wanted: Start


@dataclass(frozen=True)
class StartWaiting:
    """A trial that was put in the queue again."""

    trial: Trial


@dataclass(frozen=True)
class GoOn:
    """A paused trial."""

    trial: Trial


@dataclass(frozen=True)
class EndPaused:
    """No worker is needed: these will never go on."""

    trials: tuple[Trial, ...]
    why: str


@dataclass(frozen=True)
class Confirm:
    """A finished trial is scored again, on so many folds."""

    trial: Trial
    folds: int


Move = StartNew | StartWaiting | GoOn | EndPaused | Confirm


class NextMove:
    """Decides what is done next.

    Parameters
    ----------
    owner : StudyOwner
    rules : Rules
    budget : BudgetWatch
    monitor : Monitor
    may_start_new : callable
        () -> whether there is a configuration left to try, and a trial left of the budget's number.
    """

    def __init__(self, owner: StudyOwner, rules: Rules, budget: BudgetWatch, monitor: Monitor, may_start_new: Callable[[], bool]) -> None:
        self._owner, self._rules, self._budget, self._monitor, self._may_start_new = owner, rules, budget, monitor, may_start_new
        self._told_blocked = False

    def __call__(self) -> Move | None:
        """The move; None where a free worker has nothing to do now."""
        self._budget.check()
        if self._budget.is_called_off:
            return None
        if self._budget.stop_reason is not None:
            return self._after_time()
        if waiting := self._owner.waiting():
            return StartWaiting(waiting[0])
        wanted = self._rules.scheduler.next(self._may_start_new())
        if isinstance(wanted, Start):
            return StartNew(wanted)
        if isinstance(wanted, Resume):
            return GoOn(self._owner.roster.paused_of([wanted.root])[0])
        return self._ending()

    def _ending(self) -> Move | None:
        """No trial is to begin and none to be promoted: what is left over, then confirmations, once nothing runs."""
        if self._is_searching:
            return None
        paused = self._owner.paused()
        if paused and not self._owner.roster.has_full:
            return GoOn(self._budget.most_advanced(paused))
        if paused:
            return EndPaused(tuple(paused), "the search ended before it was among the best of its rung")
        return self._confirmation()

    def _after_time(self) -> Move | None:
        """The budget is used up."""
        self._budget.name_first()
        first = next((t for t in (*self._owner.paused(), *self._owner.waiting()) if t.root == self._budget.finish_first), None)
        if first is not None:
            return StartWaiting(first) if first.paused is None else GoOn(first)
        if self._is_searching:
            return None
        confirming = [t for t in self._owner.waiting() if t.confirms is not None]
        return StartWaiting(confirming[0]) if confirming else self._confirmation()

    @property
    def _is_searching(self) -> bool:
        return any(t.confirms is None for t in self._owner.roster.running)

    def _confirmation(self) -> Confirm | None:
        wanted = self._rules.confirmation
        if wanted is None:
            return None
        trial = next_to_confirm(self._owner.trials.values(), wanted.top, wanted.folds, self._owner.maximize)
        if trial is None:
            return None
        if trial.family in wanted.blocked:
            if not self._told_blocked:
                self._told_blocked = True
                self._monitor.note(f"trial {trial.number} is still to be confirmed, but family {trial.family} can't be had here: no winner yet")
            return None
        return Confirm(trial, wanted.folds)

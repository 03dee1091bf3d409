"""The trials of a study by what they are doing, so that no decision has to look at all of them. Pure.

Ended trials are counted, not listed: a study may have many thousands, and what is to be decided concerns the few others.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from search.trial import Trial


class Roster:
    """Who runs, who waits, who is paused; tell it of a trial whenever its state has changed.

    Attributes
    ----------
    has_full : bool
        Whether some trial had the whole budget.
    """

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        # By root: of a line of retries only the last one is not over.
        self._running: dict[int, Trial] = {}
        self._waiting: dict[int, Trial] = {}
        self._paused: dict[int, Trial] = {}
        self._successors: dict[int, Trial] = {}
        self._counted: set[int] = set()
        self._lost: set[int] = set()
        self._taken: set[int] = set()
        self.has_full = False
        for trial in trials:
            self.note(trial)

    def note(self, trial: Trial) -> None:
        """Take in a trial as it is now."""
        for place in (self._running, self._waiting, self._paused):
            if trial.root in place and place[trial.root].number == trial.number:
                del place[trial.root]
        self._taken.discard(trial.number)
        if trial.retry_of is not None:
            self._successors[trial.retry_of] = trial
        if trial.end is None:
            self._place(trial)[trial.root] = trial
        elif trial.counts:
            self._counted.add(trial.number)
        elif trial.confirms is None:
            self._lost.add(trial.number)
        self.has_full = self.has_full or trial.is_full
        if trial.counts or (trial.confirms is None and trial.end is None and (trial.state == "RUNNING" or trial.paused is not None)):
            self._taken.add(trial.number)

    def _place(self, trial: Trial) -> dict[int, Trial]:
        if trial.paused is not None:
            return self._paused
        return self._running if trial.state == "RUNNING" else self._waiting

    @property
    def unfinished(self) -> Iterable[Trial]:
        """Those that run, wait or are paused, in no order."""
        return chain(self._running.values(), self._waiting.values(), self._paused.values())

    @property
    def running(self) -> list[Trial]:
        """Trials under way, oldest first."""
        return _by_number(self._running.values())

    @property
    def waiting(self) -> list[Trial]:
        """Requeued trials that have not been started again, oldest first."""
        return _by_number(self._waiting.values())

    @property
    def paused(self) -> list[Trial]:
        """Trials that the scheduler let wait, oldest first."""
        return _by_number(self._paused.values())

    @property
    def paused_count(self) -> int:
        """How many are paused."""
        return len(self._paused)

    def paused_of(self, roots: Iterable[int]) -> list[Trial]:
        """The paused trials of these lines of retries, oldest first."""
        return _by_number(self._paused[root] for root in set(roots) if root in self._paused)

    @property
    def counted(self) -> int:
        """Trials that have ended and count towards the budget."""
        return len(self._counted)

    @property
    def lost(self) -> int:
        """Trials that ended without saying anything about their configuration."""
        return len(self._lost)

    @property
    def taken(self) -> int:
        """How much of the budget's trials is used up, under way or paused."""
        return len(self._taken)

    def successor(self, trial: Trial) -> Trial | None:
        """The trial that repeats a lost one, if any."""
        return self._successors.get(trial.number)


def reported_epochs(trials: Iterable[Trial]) -> int:
    """Epochs with a score, of all trials; a retry has those of the lost trial that it goes on with."""
    told: dict[int, set[int]] = {}
    for trial in trials:
        told.setdefault(trial.root, set()).update(trial.reports)
    return sum(map(len, told.values()))


def _by_number(trials: Iterable[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: trial.number)

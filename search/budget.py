"""What a study may use in all, whether that is used up, and who is finished all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from search.rules import Limits, Monitor
from search.study import StudyOwner
from search.trial import Trial


class BudgetWatch:
    """Ends a search where a total is reached.

    Parameters
    ----------
    limits : Limits
    owner : StudyOwner
        What the study has used, over all its runs.
    monitor : Monitor
    leaving : collection of int
        Trials that were told to end or to pause; looked at anew each time.

    Attributes
    ----------
    stop_reason : str or None
        Why nothing more begins.
    is_called_off : bool
        By the user, or because trials keep failing: not even a confirmation begins.
    finish_first : int or None
        Root of the one trial that is finished although the budget is used up, since otherwise nothing could win.
    """

    def __init__(self, limits: Limits, owner: StudyOwner, monitor: Monitor, leaving: Collection[int]) -> None:
        self.limits, self._owner, self._monitor, self._leaving = limits, owner, monitor, leaving
        self.stop_reason: str | None = None
        self.is_called_off = False
        self.finish_first: int | None = None

    @property
    def has_trials_left(self) -> bool:
        """Whether a new trial is within the budget's number."""
        return self.limits.trials is None or self._owner.roster.taken < self.limits.trials

    def check(self) -> None:
        """Look whether a total is reached."""
        if self.stop_reason is not None:
            return
        used_up = next((told for limit, used, told in self._totals() if used is not None and used >= limit), None)
        if used_up is not None:
            self.stop_reason = f"the budget of {used_up} is used up"
            self.name_first()

    def _totals(self) -> Iterable[tuple[float, float | None, str]]:
        """Of each limit that is set: it, what is used of it, and its name."""
        limits, spent = self.limits, self._owner.spent
        if limits.minutes is not None:
            yield 60 * limits.minutes, spent.seconds, f"{limits.minutes:g} minutes"
        if limits.epochs is not None:
            yield limits.epochs, spent.epochs, f"{limits.epochs:,} epochs"
        if limits.kwh is not None:
            yield limits.kwh, spent.accounts.energy_kwh, f"{limits.kwh:g} kWh"
        if limits.kg_co2 is not None:
            yield limits.kg_co2, spent.accounts.emissions_kg, f"{limits.kg_co2:g} kg of CO2"

    def call_off(self, reason: str) -> None:
        """Nothing more begins, and what runs is to end."""
        self.stop_reason = self.stop_reason or reason
        self.is_called_off = True

    def must_end(self, trial: Trial) -> bool:
        """True if the search is ending and this trial is not one that is finished first."""
        if self.stop_reason is None:
            return False
        return self.is_called_off or (trial.confirms is None and trial.root != self.finish_first)

    def name_first(self) -> None:
        """Where nothing could win otherwise, what has come furthest is finished although the budget is used up."""
        roster = self._owner.roster
        if self.finish_first is not None or roster.has_full:
            return
        candidates = [t for t in (*roster.running, *roster.paused, *roster.waiting) if t.confirms is None and t.number not in self._leaving]
        if candidates:
            first = self.most_advanced(candidates)
            self.finish_first = first.root
            self._monitor.note(f"{self.stop_reason}; no trial has had the full budget yet, so trial {first.number} is finished first")

    def most_advanced(self, trials: Collection[Trial]) -> Trial:
        """Who has come furthest; of several the best, then the earliest."""
        sign = 1 if self._owner.maximize else -1
        return max(trials, key=lambda t: (len(t.reports), sign * (t.best(self._owner.maximize) or 0.0), -t.number))

    def ended(self, trial: Trial, requeued: bool) -> None:
        """A trial has ended; one that goes on in another is not over."""
        if trial.root == self.finish_first and not requeued:
            self.finish_first = None

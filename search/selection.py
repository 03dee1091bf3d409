"""The winner among trials, who can't be told apart from it, and what its score is worth after having been chosen by. Pure.

Knows trials and their scores; the statistics come from the composition root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from search.confirm import confirmations, finalists
from search.item_scores import ItemScores, item_scores
from search.preference import Preference
from search.trial import Trial


class Paired(Protocol):
    """Two trials compared item by item; a positive difference is the first's."""

    difference: float
    interval: tuple[float, float] | None
    p_value: float
    is_tie: bool


class Chosen(Protocol):
    """What is to be expected of a winner's score where it was not chosen by."""

    score: float
    expected: float
    interval: tuple[float, float] | None
    candidates: int
    states: int


class Statistics(Protocol):
    """What the composition root hands in."""

    def compare_paired(self, first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None) -> Paired: ...
    def expect_chosen(self, candidates: Sequence[Sequence[np.ndarray]], winner: int, folds: Sequence[int], groups: np.ndarray | None = None, **rule: Any) -> Chosen | None: ...
    def item_scores(self, candidate: Sequence[np.ndarray], folds: Sequence[int], maximize: bool = True) -> np.ndarray: ...
    def mean_interval(self, scores: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float] | None: ...
    def proportion_interval(self, scores: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float] | None: ...


@dataclass(frozen=True)
class Contender:
    """A trial that may win, and the one whose score counts for it: itself, or its confirmation."""

    trial: Trial
    scored: Trial

    @property
    def value(self) -> float:
        """The score."""
        return self.scored.value

    @cached_property
    def items(self) -> ItemScores | None:
        """Its score on each item, where it is known."""
        return item_scores(self.scored)


def contenders(trials: Iterable[Trial], maximize: bool, folds: int | None = None) -> list[Contender]:
    """Those that may win, best first: the ones confirmed on so many folds where there are any, else all that had the full budget."""
    trials = list(trials)
    confirmed = {} if folds is None else confirmations(trials, folds)
    full = finalists(trials, len(trials), maximize)
    if not confirmed:
        return [Contender(trial, trial) for trial in full]
    sign = 1 if maximize else -1
    found = [Contender(trial, confirmed[trial.number]) for trial in full if trial.number in confirmed]
    return sorted(found, key=lambda each: (-sign * each.value, each.trial.number))


@dataclass(frozen=True)
class Selection:
    """A winner among contenders.

    Attributes
    ----------
    contenders : list of Contender
        Best first.
    maximize : bool
    statistics : Statistics or None
        None will do where nothing is asked for but a winner that no comparison decides.
    prefer : Preference or None
        None: the best wins.
    folds : int or None
        On so many the best were to be scored again.
    """

    contenders: list[Contender]
    maximize: bool
    statistics: Statistics | None
    prefer: Preference | None = None
    folds: int | None = None
    _compared: dict[tuple[int, int], Paired | None] = field(default_factory=dict, repr=False)

    @cached_property
    def winner(self) -> Contender:
        """The best, or the cheapest near it: ties of price go to the smaller, then to the earlier."""
        if self.prefer is None:
            return self.contenders[0]
        return min(self._near_best, key=lambda each: self.prefer.price(each.trial))

    @property
    def _near_best(self) -> list[Contender]:
        best, sign = self.contenders[0], 1 if self.maximize else -1
        if self.prefer.within is not None:
            return [each for each in self.contenders if sign * (best.value - each.value) <= self.prefer.within + 1e-9]
        found = [(each, self.compare(best, each)) for each in self.contenders[1:]]
        return [best, *(each for each, told in found if told is not None and told.is_tie)]

    def compare(self, first: Contender, second: Contender) -> Paired | None:
        """One against another, a positive difference being better; None where they were not scored on the same items."""
        key = first.trial.number, second.trial.number
        if key not in self._compared:
            self._compared[key] = self._compare(first.items, second.items)
        return self._compared[key]

    def _compare(self, first: ItemScores | None, second: ItemScores | None) -> Paired | None:
        if self.statistics is None:
            raise ValueError("trials can't be compared without statistics")
        if first is None or second is None or (first.order, first.folds) != (second.order, second.folds):
            return None
        sign = 1 if self.maximize else -1
        scores = [sign * self.statistics.item_scores(each.parts, each.folds, self.maximize) for each in (first, second)]
        return self.statistics.compare_paired(*scores, first.groups)

    @cached_property
    def against_winner(self) -> dict[int, Paired]:
        """Every other contender that can be compared against the winner, by its trial's number; a negative difference is worse than the winner."""
        found = {each.trial.number: self.compare(each, self.winner) for each in self.contenders if each is not self.winner}
        return {number: told for number, told in found.items() if told is not None}

    @cached_property
    def expected(self) -> Chosen | None:
        """What the winner's score is worth, chosen as it was; None where too little is known."""
        items = self.winner.items
        if items is None or self.statistics is None:
            return None
        same = [each for each in self.contenders if each.items is not None and (each.items.order, each.items.folds) == (items.order, items.folds)]
        rule: dict[str, Any] = {}
        if self.prefer is not None:
            near = [each.value for each in self._near_best]
            rule = {"costs": _places([self.prefer.price(each.trial) for each in same]), "within": max(near) - min(near) if self.prefer.within is None else self.prefer.within}
        place = next(i for i, each in enumerate(same) if each is self.winner)
        return self.statistics.expect_chosen([each.items.parts for each in same], place, items.folds, items.groups, maximize=self.maximize, **rule)

    def gain_over(self, other: Contender) -> float | None:
        """The winner's score less another contender's, which nobody chose among others, as it is to be expected on items that nothing was chosen by.

        The other's best epoch was chosen too, and pays for that likewise. None where too little is known.
        """
        if self.expected is None or other.items is None or (other.items.order, other.items.folds) != (self.winner.items.order, self.winner.items.folds):
            return None
        alone = self.statistics.expect_chosen([other.items.parts], 0, other.items.folds, other.items.groups, maximize=self.maximize)
        return self.expected.expected - alone.expected


def _places(prices: Sequence[tuple[Any, ...]]) -> list[float]:
    """Prices as numbers in the same order."""
    places = {told: float(place) for place, told in enumerate(sorted(prices))}
    return [places[told] for told in prices]

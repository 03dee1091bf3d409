"""What a sampler may know: the study in memory, as Optuna's samplers read it.

It is made anew for every proposal, as a function of the trials alone: nothing depends on the order in which they ended, on retries in
between, or on when the driver was started. A trial that changes (a paused one that goes on) is simply another one the next time.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Literal, Protocol

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.levelling import levelled
from search.ranking import places, rank_of, score_of
from search.schedulers.ladder import EpochLadder, Ladder
from search.space import ChoiceDomain, FamilySpace, FloatDomain, IntDomain, Parameter
from search.trial import End, Trial

#: How trials that had the full budget and trials that had not are made comparable:
#: "optuna": any that had it is better than any that had not, of these the later stopped (Optuna's own ranking);
#: "levelled": by value, estimated for the full budget (search/levelling.py);
#: "values": likewise, and a refused configuration has the worst value there is, for samplers that learn from values only.
Ranking = Literal["optuna", "levelled", "values"]

optuna.logging.set_verbosity(optuna.logging.WARNING)

#: A sampler is shown at most so many ended and paused trials (docs/benchmarks.md, "TPE with many trials"): a tenth of them for being the best, the others
#: for being the newest. TPE takes at most 25 trials for good, and weighs the others by their age.
MOST_SHOWN = 2000

_NOW = datetime(2000, 1, 1)  # no sampler asks when, but Optuna wants it filled in


class Outsider(Protocol):
    """A finished trial of another study; `place` is 0 to 1, the best first, among the trials of its family there."""

    family: str
    sampled: Mapping[str, Any]
    place: float


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution for a searched parameter."""
    domain = parameter.domain
    if isinstance(domain, IntDomain):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    if isinstance(domain, FloatDomain):
        return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    if isinstance(domain, ChoiceDomain):
        return CategoricalDistribution(domain.values)
    raise TypeError(f"parameter {parameter.name} has no distribution: {domain!r}")


class Mirror:
    """The trials that a sampler may learn from, and those under way.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    maximize : bool
    ranking : {"optuna", "levelled", "values"}
    most : int
        A sampler is shown so many ended and paused trials: of more, the best tenth and the newest.
    ladder : Ladder
        How far a stopped trial came.

    Attributes
    ----------
    distributions : dict
        Optuna's name of each searched parameter, ``family`` and ``FAMILY/PARAMETER``, to its distribution.
    """

    def __init__(self, families: Mapping[str, FamilySpace], maximize: bool, ranking: Ranking = "optuna", most: int = MOST_SHOWN, ladder: Ladder = EpochLadder(())) -> None:
        self._maximize, self._ranking, self._most, self._ladder = maximize, ranking, most, ladder
        self.distributions: dict[str, BaseDistribution] = {"family": CategoricalDistribution(tuple(families))}
        for family, space in families.items():
            self.distributions |= {f"{family}/{p.name}": distribution_of(p) for p in space.searched}
        self._trials: dict[int, Trial] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    def take_in(self, trial: Trial) -> None:
        """Know a trial as it is now; what was known of it before is replaced. What becomes of it later changes nothing here."""
        self._trials[trial.number] = replace(trial, reports=dict(trial.reports))

    def forget(self, number: int) -> None:
        """Know nothing of a trial any more: it says nothing about its configuration."""
        self._trials.pop(number, None)

    def clear(self) -> None:
        """Forget them all."""
        self._trials.clear()

    def valued(self) -> list[tuple[Trial, float | None]]:
        """Trials by number, with their values as for the full budget.

        None stands for those under way, and for refused ones while no trial has a value.
        """
        values = self._values()
        return [(trial, values.get(number)) for number, trial in sorted(self._trials.items())]

    @property
    def ended(self) -> int:
        """How many ended and paused trials there are."""
        return sum(t.state != "RUNNING" for t in self._trials.values())

    @property
    def under_way(self) -> set[int]:
        """Numbers of the trials that run."""
        return {number for number, t in self._trials.items() if t.state == "RUNNING"}

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def standing(self, family: str) -> dict[int, float]:
        """The ended and paused trials of a family and their places among one another, 0 to 1, the best first."""
        members = [t for t in self._trials.values() if t.family == family and t.state != "RUNNING"]
        best_first = self._best_first(sorted(members, key=lambda t: t.number), {} if self._ranking == "optuna" else self._values())
        return dict(zip((t.number for t in best_first), places(len(best_first)), strict=True))

    def study(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """An Optuna study that holds the trials in the order of their numbers."""
        study = self._make_study(sampler)
        values = {} if self._ranking == "optuna" else self._values()
        for trial in self._shown(values):
            study.add_trial(self._told(trial, values.get(trial.number)))
        return study

    def study_beside(self, sampler: optuna.samplers.BaseSampler, family: str, others: Sequence[Outsider]) -> optuna.Study:
        """An Optuna study of one family's trials and, before them, some of other studies.

        Each is known by its place among the trials of its own study (:func:`search.ranking.score_of`): other corpora have other levels.
        """
        study = self._make_study(sampler)
        for other in sorted(others, key=lambda other: -other.place):  # the better, the newer
            params = {f"{family}/{name}": value for name, value in other.sampled.items()}
            score = score_of(other.place, self._maximize)
            study.add_trial(self._told(Trial(-1, "COMPLETE", {"family": family}, params, value=score), None))
        standing = self.standing(family)
        for number, trial in sorted(self._trials.items()):
            if trial.family == family:
                own = {name: value for name, value in trial.params.items() if name != "family"}
                score = score_of(standing[number], self._maximize) if number in standing else None
                study.add_trial(self._told(replace(trial, params=own), score))
        return study

    def _make_study(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        return optuna.create_study(direction="maximize" if self._maximize else "minimize", sampler=sampler)

    def _shown(self, values: Mapping[int, float]) -> list[Trial]:
        """The trials by number: all that are under way, and of the others at most so many as a sampler can look at."""
        everyone = [trial for _, trial in sorted(self._trials.items())]
        ended = [t for t in everyone if t.state != "RUNNING"]
        if len(ended) <= self._most:
            return everyone
        kept = {t.number for t in self._best_first(ended, values)[: self._most // 10]}
        newest = (t.number for t in reversed(ended) if t.number not in kept)
        kept |= set(islice(newest, self._most - len(kept)))
        return [t for t in everyone if t.state == "RUNNING" or t.number in kept]

    def _best_first(self, ended: list[Trial], values: Mapping[int, float]) -> list[Trial]:
        sign = -1 if self._maximize else 1
        return sorted(ended, key=lambda t: (0, sign * values[t.number]) if t.number in values else rank_of(t, self._maximize, self._ladder))

    def _values(self) -> dict[int, float]:
        known = [t for t in self._trials.values() if t.state != "RUNNING"]
        values = levelled(known, self._maximize)
        if self._ranking == "values" and values:
            worst = (min if self._maximize else max)(values.values())
            values |= {t.number: worst for t in known if t.end == End.REFUSED}
        return values

    def _told(self, trial: Trial, value: float | None) -> _Told:
        """A trial as Optuna's samplers read it: of a stopped one they look at the last report only."""
        reports: dict[int, float] = {}
        if trial.state == "RUNNING":
            state = TrialState.RUNNING
        elif value is not None:
            state = TrialState.COMPLETE
        elif trial.state == "COMPLETE":
            state, value = TrialState.COMPLETE, trial.value
        else:
            state = TrialState.PRUNED
            if trial.reports and trial.end != End.REFUSED:
                reports = {self._ladder.step(trial): trial.reports[max(trial.reports)]}
        distributions = {name: self.distributions[name] for name in trial.params}
        end = None if state is TrialState.RUNNING else _NOW
        return _Told(trial.number, state, value, _NOW, end, trial.params, distributions, {}, {}, reports, trial.number)


class _Told(FrozenTrial):
    """A trial that nobody changes and that was valid when it was proposed: Optuna's copies of it share their parts, and nothing is checked
    again. That is nine tenths of what making the study costs."""

    def _validate(self) -> None:
        return

    def __deepcopy__(self, memo: dict[int, Any]) -> _Told:
        return copy.copy(self)

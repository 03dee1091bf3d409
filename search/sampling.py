"""What to try next: the family first, then its parameters.

Samplers work on a mirror of the study in memory (search/mirror.py), which holds exactly the trials a sampler may learn from. So a
proposal costs no database access, and a trial enters the study only when it is complete (docs/design.md, section 10).
The sampler is seeded anew for every trial from (study seed, trial number): a resumed search proposes what an
uninterrupted one would have.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution

from search import cma_es
from search.drawing import drawing, suggest
from search.grid import Grid
from search.mirror import MOST_SHOWN, Mirror
from search.nearby import near_by
from search.sampler_rules import DRAWN
from search.schedulers.ladder import EpochLadder, Ladder
from search.shares import Shares
from search.space import FamilySpace
from search.thrift import Point, Thrift
from search.trial import Trial, trial_seed
from search.warm_start import MOST_QUEUED, NEAR_DEFAULTS, STAND_INS, Configuration, Outsider, WarmStart, disappointing, stand_ins, to_be_near

#: So many trials TPE and GP draw at random before they learn (Optuna's default).
_STARTUP = 10

#: (family, sampled values by parameter name, the same with Optuna's names and distributions)
Proposal = tuple[str, dict[str, Any], dict[str, tuple[Any, BaseDistribution]]]


class Proposer:
    """Proposes (family, sampled parameters) and learns from trials that ended or were paused.

    Trials that confirm others are not its business: they are ignored wherever they are given.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    sampler : {"tpe", "random", "grid", "gp", "cmaes"}
        "gp" and "cmaes" need a single family without conditions, "cmaes" also one without choices, "grid" a step for each searched
        float (search/sampler_rules.py).
    seed : int
        The study's seed.
    maximize : bool
    ranking : {"optuna", "levelled"}
        How "tpe" compares trials that had the full budget with others (search/mirror.py). "gp" and "cmaes" learn from values alone, and
        always take those estimated for the full budget: of themselves they would see nothing of a stopped trial.
    blocked : collection of str
        Families that are not proposed in this run; the study may have trials of them.
    warm : WarmStart
        Its configurations are proposed first; "tpe" and "gp" also learn from its trials while there are few of the study's own.
    shown : int
        Of more ended trials than that, Optuna's samplers are shown the best and the newest (search/mirror.py).
    ladder : Ladder
        How far a stopped trial came, for "tpe" (search/mirror.py).
    near : int
        Of so many first trials of a family whose declared defaults are in `warm`, "tpe" and "gp" draw every second near these (search/nearby.py).
    thrift : Thrift, optional
        Chooses among several proposals of "tpe", "random" or "gp" by what they are predicted to cost; without it the first is taken.
    """

    def __init__(
        self,
        families: Mapping[str, FamilySpace],
        sampler: str,
        seed: int,
        maximize: bool,
        ranking: Literal["optuna", "levelled"] = "optuna",
        blocked: Collection[str] = (),
        warm: WarmStart = WarmStart(),
        shown: int = MOST_SHOWN,
        thrift: Thrift | None = None,
        ladder: Ladder = EpochLadder(()),
        near: int = NEAR_DEFAULTS,
    ) -> None:
        self._families = dict(families)
        self._open = {name: space for name, space in self._families.items() if name not in blocked}
        self._kind, self._seed, self._maximize = sampler, seed, maximize
        self._mirror = Mirror(self._families, maximize, "values" if sampler in ("gp", "cmaes") else ranking, shown, ladder)
        self._grid = Grid(self._open) if sampler == "grid" else None
        self._shares = Shares(self._open)
        self._thrift = thrift if sampler in DRAWN else None
        self._near = near
        self._warm, self._taken_over = warm, {}  # origin of a configuration of another study -> number of its trial here

    @property
    def total(self) -> int | None:
        """Number of configurations of a sampler that comes to an end; None for the others, and where they can't be counted."""
        return None if self._grid is None else self._grid.size

    def has_more(self, family: str | None = None) -> bool:
        """False once a sampler that comes to an end has nothing more to propose, of that family if one is asked for."""
        return self._grid is None or self._queued(family) is not None or self._grid.has_more(family)

    def other_than(self, families: Collection[str]) -> str | None:
        """The least tried of the other families that have something left to propose; None if there is none."""
        others = [name for name in self._open if name not in families and self.has_more(name)]
        return self._shares.least_tried(others) if others else None

    def origin_of(self, number: int) -> str | None:
        """``STUDY/NUMBER`` of the trial of another study whose configuration was proposed for a trial, if any."""
        return next((origin for origin, mine in self._taken_over.items() if mine == number), None)

    # -- what is known ---------------------------------------------------------------------------------------------

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Know the trials of a study that is gone on with, and nothing else."""
        self._mirror.clear()
        self._shares.clear()
        self._taken_over.clear()
        if self._thrift is not None:
            self._thrift.clear()
        if self._grid is not None:
            self._grid = Grid(self._open)
        for trial in trials:
            if trial.confirms is not None:
                continue
            self._note_tried(trial)
            if trial.state == "RUNNING":
                self.adopt(trial)
            elif trial.end is not None or trial.paused is not None:
                self.learn(trial)

    def adopt(self, trial: Trial) -> None:
        """A requeued trial runs again, or a paused one goes on; the sampler keeps what it knows of it."""
        if trial.confirms is not None:
            return
        self._note_tried(trial)
        self._shares.note(trial.number, trial.family)
        if trial.number not in self._mirror:
            self._mirror.take_in(trial)

    def learn(self, trial: Trial) -> None:
        """Take in the end of a trial, or its reports so far when it is paused; what was known of it before is replaced."""
        if trial.confirms is not None:
            return
        if trial.state == "FAIL":
            self._mirror.forget(trial.number)
        else:
            self._mirror.take_in(trial)
            if self._thrift is not None:
                self._thrift.note(trial, _sampled(trial))
        if trial.state == "FAIL" and not trial.counts:
            self._shares.drop(trial.number)
        else:
            self._shares.note(trial.number, trial.family)

    def written_params(self, params: Mapping[str, Any]) -> dict[str, tuple[Any, BaseDistribution]]:
        """Optuna's view of parameters by their names there."""
        return {name: (value, self._mirror.distributions[name]) for name, value in params.items()}

    def _note_tried(self, trial: Trial) -> None:
        if trial.warm_start_of is not None:
            self._taken_over[trial.warm_start_of] = trial.number  # of a line of retries the last
        if self._grid is not None and trial.family in self._open:
            self._grid.note(trial.family, _sampled(trial))

    # -- what next -------------------------------------------------------------------------------------------------

    def propose(self, number: int, family: str | None = None) -> Proposal | None:
        """A configuration for a new trial, which counts as under way from now on.

        Parameters
        ----------
        number : int
            The trial's number in the study; with the study's seed and the trials known it decides the proposal.
        family : str, optional
            The family it must be of; otherwise the sampler chooses, within the families' shares.

        Returns
        -------
        Proposal or None
            None where the sampler has nothing more, of that family if one is asked for.
        """
        queued = self._queued(family)
        point = self._ask_frugally(number, family) if queued is None else (queued.family, dict(queued.sampled))
        if point is None:
            return None
        family, sampled = point
        params = {"family": family} | {f"{family}/{name}": value for name, value in sampled.items()}
        trial = Trial(number, "RUNNING", {"family": family, "warm_start_of": queued and queued.origin}, params)
        self._note_tried(trial)
        self._mirror.take_in(trial)
        self._shares.note(number, family)
        return family, sampled, self.written_params(params)

    def _queued(self, family: str | None) -> Configuration | None:
        """The next configuration of another study that this one has no trial of."""
        ahead = (c for c in self._warm.queue if c.origin not in self._taken_over and c.family in self._open)
        return next((c for c in ahead if family in (None, c.family)), None)

    def _ask_frugally(self, number: int, family: str | None) -> Point | None:
        if self._thrift is None:
            return self._ask(number, family)
        points = self.candidates(number, family, self._thrift.candidates)
        return self._thrift.choose(points, self._seed_of(number))

    def candidates(self, number: int, family: str | None, count: int) -> list[Point]:
        """Several proposals for one trial, all of the first one's family; nothing is noted of them."""
        points = [self._ask(number, family)]
        points += [self._ask(number, points[0][0], draw) for draw in range(1, count)]
        return points

    def _ask(self, number: int, family: str | None, draw: int = 0) -> Point | None:
        if self._grid is not None:
            return self._grid.next(family)
        if self._kind == "cmaes":
            return self._ask_cma_es(number)
        if family is None and len(self._families) > 1:
            family = self._shares.overdue()
        seed = self._seed_of(number, draw)
        return self._draw(seed, family) if self._kind == "random" else self._ask_optuna(seed, family)

    def _ask_optuna(self, seed: int, family: str | None) -> Point:
        study = self._mirror.study(self._make_sampler(seed))
        if family is not None:
            study.enqueue_trial({"family": family})
        trial = study.ask()
        family = trial.suggest_categorical("family", tuple(self._families))
        if family not in self._open:  # the choice stays the same over all runs of a study, whatever is to be had in one
            return self._ask_optuna(seed, self._shares.least_tried())
        # Only now, so that neither the defaults nor other studies have a say in which family it is.
        near = self._near_by(family)
        if near is not None:
            return family, near_by(self._families[family], _sampled(near), seed)
        others = self._stand_ins(family)
        if others:
            trial = self._mirror.study_beside(self._make_sampler(seed), family, others).ask()
        return family, self._families[family].sample(lambda parameter: suggest(trial, f"{family}/{parameter.name}", parameter))

    def _stand_ins(self, family: str) -> list[Outsider]:
        if not self._warm.known:
            return []
        standing = self._mirror.standing(family)
        return stand_ins(self._warm, family, standing, self._taken_over.values()) if len(standing) < STAND_INS else []

    def _near_by(self, family: str) -> Trial | None:
        begun = self._shares.begun(family)
        if not self._warm.queue or begun >= self._near or begun % 2 == 0:
            return None
        number = to_be_near(family, self._mirror.standing(family), self._mirror.under_way, self._taken_over)
        return None if number is None else self._mirror[number]

    def _draw(self, seed: int, family: str | None) -> Point:
        """What Optuna's random sampler gives, without the study that it does not look at."""
        draw = drawing(self._mirror.distributions, seed)
        family = family or draw("family")
        if family not in self._open:
            return self._draw(seed, self._shares.least_tried())
        return family, self._families[family].sample(lambda parameter: draw(f"{family}/{parameter.name}"))

    def _ask_cma_es(self, number: int) -> Point:
        family, space = next(iter(self._families.items()))
        sign = -1 if self._maximize else 1
        history = [(_sampled(trial), None if value is None else sign * value) for trial, value in self._mirror.valued()]
        return family, cma_es.propose(space, history, self._seed_of(number))

    def _seed_of(self, number: int, draw: int = 0) -> int:
        return trial_seed(self._seed if draw == 0 else trial_seed(self._seed, -draw), number) ^ 0x5EED

    def _make_sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        at_random = _STARTUP
        if self._taken_over and self._mirror.ended < _STARTUP + MOST_QUEUED:
            at_random += sum(disappointing(self._mirror.standing(family), self._taken_over.values()) for family in self._families)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self._kind == "gp":
                return optuna.samplers.GPSampler(seed=seed, n_startup_trials=at_random, warn_independent_sampling=False)
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=at_random, multivariate=True, group=True)


def _sampled(trial: Trial) -> dict[str, Any]:
    """A trial's parameters by their names in the family, without the family itself."""
    prefix = f"{trial.family}/"
    return {name.removeprefix(prefix): value for name, value in trial.params.items() if name.startswith(prefix)}

"""What to try next: the family first, then its parameters.

The sampler works on a mirror of the study in memory, which holds exactly the trials a sampler may learn from. So a
proposal costs no database access, and a trial enters the study only when it is complete (docs/design.md, section 8).
The sampler is seeded anew for every trial from (study seed, trial number): a resumed search proposes what an
uninterrupted one would have.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from search.space import ChoiceDomain, FamilySpace, FloatDomain, IntDomain, Parameter
from search.trial import End, Trial, trial_seed

#: Each family gets at least this share of the trials, whatever the sampler thinks of it.
FAMILY_FLOOR = 0.10

Proposal = tuple[str, dict[str, Any], dict[str, tuple[Any, BaseDistribution]]]


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


def _suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Any:
    domain = parameter.domain
    if isinstance(domain, IntDomain):
        return trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
    if isinstance(domain, FloatDomain):
        return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    return trial.suggest_categorical(name, domain.values)


class Proposer:
    """Proposes (family, sampled parameters) and learns from ended trials.

    Parameters
    ----------
    families : mapping of name to FamilySpace
    sampler : {"tpe", "random"}
    seed : int
        The study's seed.
    maximize : bool
    """

    def __init__(self, families: Mapping[str, FamilySpace], sampler: str, seed: int, maximize: bool) -> None:
        self._families = dict(families)
        self._kind, self._seed = sampler, seed
        self._mirror = optuna.create_study(direction="maximize" if maximize else "minimize")
        self._open: dict[int, optuna.Trial] = {}
        self._begun = dict.fromkeys(self._families, 0)

    def rebuild(self, trials: Iterable[Trial]) -> None:
        """Learn from the trials of a study that is gone on with."""
        for trial in trials:
            if trial.state in ("COMPLETE", "PRUNED") or trial.counts:
                self._begun[trial.family] += 1
            if trial.state in ("COMPLETE", "PRUNED"):
                self._mirror.add_trial(self._frozen(trial))

    def propose(self, number: int) -> Proposal:
        """Family, sampled values (by parameter name) and the same with Optuna's names and distributions.

        Parameters
        ----------
        number : int
            The trial's number in the study; with the study's seed it decides the proposal.
        """
        self._mirror.sampler = self._make_sampler(number)
        overdue = self._overdue_family()
        if overdue is not None:
            self._mirror.enqueue_trial({"family": overdue})
        trial = self._mirror.ask()
        family = trial.suggest_categorical("family", tuple(self._families))
        space = self._families[family]
        written: dict[str, tuple[Any, BaseDistribution]] = {"family": (family, self._family_distribution())}

        def suggest(parameter: Parameter) -> Any:
            name = f"{family}/{parameter.name}"
            value = _suggest(trial, name, parameter)
            written[name] = (value, distribution_of(parameter))
            return value

        sampled = space.sample(suggest)
        self._open[number] = trial
        self._begun[family] += 1
        return family, sampled, written

    def written_params(self, params: Mapping[str, Any]) -> dict[str, tuple[Any, BaseDistribution]]:
        """Optuna's view of a requeued trial's parameters."""
        return {name: (value, self._distribution(name)) for name, value in params.items()}

    def adopt(self, trial: Trial) -> None:
        """Let the sampler know that a requeued trial runs again, so that it does not propose the same."""
        self._mirror.enqueue_trial(trial.params)
        self._open[trial.number] = self._mirror.ask(
            {name: self._distribution(name) for name in trial.params}
        )
        self._begun[trial.family] += 1

    def learn(self, trial: Trial) -> None:
        """Take in the end of a trial."""
        mirrored = self._open.pop(trial.number)
        if trial.state == "FAIL":
            self._begun[trial.family] -= not trial.counts
            self._mirror.tell(mirrored, state=TrialState.FAIL)
            return
        for epoch, value in trial.reports.items():
            mirrored.report(value, epoch)
        if trial.state == "COMPLETE":
            self._mirror.tell(mirrored, trial.value)
        else:
            self._mirror.tell(mirrored, state=TrialState.PRUNED)

    def _overdue_family(self) -> str | None:
        """A family that must have the next trial: below its ``min_trials``, or below the floor."""
        if len(self._families) == 1:
            return None
        total = sum(self._begun.values())
        short = [n for n, space in self._families.items() if self._begun[n] < space.min_trials]
        short = short or [n for n in self._families if self._begun[n] < FAMILY_FLOOR * total]
        return min(short, key=lambda n: self._begun[n]) if short else None

    def _make_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = trial_seed(self._seed, number) ^ 0x5EED
        if self._kind == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)

    def _family_distribution(self) -> CategoricalDistribution:
        return CategoricalDistribution(tuple(self._families))

    def _distribution(self, name: str) -> BaseDistribution:
        if name == "family":
            return self._family_distribution()
        family, _, parameter = name.partition("/")
        return distribution_of(next(p for p in self._families[family].parameters if p.name == parameter))

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        refused = trial.end == End.REFUSED
        return optuna.create_trial(
            state=TrialState[trial.state],
            value=None if refused else trial.value,
            params=trial.params,
            distributions={name: self._distribution(name) for name in trial.params},
            intermediate_values=dict(trial.reports),
        )

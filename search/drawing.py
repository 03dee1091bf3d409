"""One value after another: as a trial of Optuna's suggests it, or by its random sampler alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.space import ChoiceDomain, FloatDomain, IntDomain, Parameter


def suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Any:
    """A value for a searched parameter, by its name in the study.

    Raises
    ------
    TypeError
        The parameter is fixed.
    """
    domain = parameter.domain
    if isinstance(domain, IntDomain):
        return trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
    if isinstance(domain, FloatDomain):
        return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    if isinstance(domain, ChoiceDomain):
        return trial.suggest_categorical(name, domain.values)
    raise TypeError(f"parameter {parameter.name} can't be suggested: {domain!r}")


def drawing(distributions: Mapping[str, BaseDistribution], seed: int) -> Callable[[str], Any]:
    """A function of a name in the study that draws its value as Optuna's random sampler does, without the study that it does not look at."""
    sampler = optuna.samplers.RandomSampler(seed=seed)

    def draw(name: str) -> Any:
        distribution = distributions[name]
        if distribution.single():
            return distribution.to_external_repr(0.0) if isinstance(distribution, CategoricalDistribution) else distribution.low
        return sampler.sample_independent(None, None, name, distribution)

    return draw

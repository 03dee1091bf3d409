"""CMA-ES as a function of the trials so far.

Optuna's own CMA-ES sampler keeps its state, pickled, in the trials it samples; a resumed search, a retried trial and a trial whose value
changes when it goes on would all be lost on it. Here the state is worked out again for each proposal, by telling the trials' parameters
and values to the optimizer generation by generation, in the order of their numbers. That takes milliseconds and needs nothing stored.

With several workers a generation holds a few trials that were drawn before the one before it was complete; they are told all the same.

Source: N. Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; package cmaes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.domains import FloatDomain, IntDomain
from search.space import FamilySpace

#: First step size, in parts of each parameter's range (the tutorial's advice where the optimum may lie anywhere).
_SIGMA = 0.3
#: Draws until one has not been tried; then the optimizer has come to rest on values it knows, and the draw is even instead.
_DRAWS = 50


def propose(space: FamilySpace, history: Sequence[tuple[Mapping[str, Any], float | None]], seed: int) -> dict[str, Any]:
    """The next configuration.

    Parameters
    ----------
    space : FamilySpace
        Its searched parameters are ints and floats, and active in every trial.
    history : sequence of (sampled parameters, value)
        In the order of the trials' numbers. Smaller is better; None is not known yet.
    seed : int
        Of this proposal, 0 <= seed < 2**32.

    Returns
    -------
    dict
        Name to value.
    """
    import numpy as np
    from cmaes import CMA

    domains = {p.name: p.domain for p in space.searched}
    n = len(domains)
    bounds = np.tile((0.0, 1.0), (n, 1))
    optimizer = CMA(mean=np.full(n, 0.5), sigma=_SIGMA, bounds=bounds, seed=seed, n_max_resampling=100)
    told = [
        (np.array([to_unit(domain, sampled[name]) for name, domain in domains.items()]), value)
        for sampled, value in history
        if value is not None
    ]
    size = optimizer.population_size
    for i in range(0, len(told) - size + 1, size):
        optimizer.tell(told[i : i + size])
    tried = [dict(sampled) for sampled, _ in history]
    for _ in range(_DRAWS):
        sampled = {name: from_unit(domain, float(u)) for (name, domain), u in zip(domains.items(), optimizer.ask(), strict=True)}
        if sampled not in tried:
            return sampled
    even = np.random.default_rng(seed).random(n)
    return {name: from_unit(domain, float(u)) for (name, domain), u in zip(domains.items(), even, strict=True)}


def to_unit(domain: IntDomain | FloatDomain, value: float) -> float:
    """A value as a number from 0 to 1; one of countable values as the middle of its share."""
    if isinstance(domain, FloatDomain) and domain.step is None:
        low, high = _scale(domain)
        return (_along(domain, value) - low) / (high - low)
    if domain.log:
        low, high = _scale(domain)
        return (math.log(value) - low) / (high - low)
    return (round((value - domain.low) / domain.step) + 0.5) / domain.size()


def from_unit(domain: IntDomain | FloatDomain, u: float) -> Any:
    """The value for a number from 0 to 1: the inverse of :func:`to_unit`, and monotonic."""
    if isinstance(domain, FloatDomain) and domain.step is None:
        low, high = _scale(domain)
        value = low + u * (high - low)
        return min(max(math.exp(value) if domain.log else value, domain.low), domain.high)
    if domain.log:
        low, high = _scale(domain)
        return min(max(round(math.exp(low + u * (high - low))), domain.low), domain.high)
    place = min(int(u * domain.size()), int(domain.size()) - 1)
    value = domain.low + place * domain.step
    return min(value, domain.high)


def _scale(domain: IntDomain | FloatDomain) -> tuple[float, float]:
    """Ends of the scale; half a step beyond an int's, so that its first and last value have their share too."""
    if isinstance(domain, IntDomain):
        return math.log(domain.low - 0.5), math.log(domain.high + 0.5)
    return _along(domain, domain.low), _along(domain, domain.high)


def _along(domain: FloatDomain, value: float) -> float:
    return math.log(value) if domain.log else value

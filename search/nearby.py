"""A configuration near another one. Pure.

Each parameter stays as it is or, with even chances, is drawn anew: a number from a normal distribution around what it was, a quarter of its range (of its
logarithm's, where that is searched) wide; a choice among its values. Source: Mallik et al. 2023, "PriorBand: Practical Hyperparameter Optimization in the Age
of Deep Learning", NeurIPS, section 5. arXiv:2306.12370
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from search.domains import ChoiceDomain, Domain, FloatDomain, IntDomain
from search.space import FamilySpace, Parameter

#: Chance of a parameter to be drawn anew, and how far numbers then go: standard deviation in parts of the range.
CHANCE, WIDTH = 0.5, 0.25
#: So often it is drawn until it is another one; in a space of a single configuration it never is.
TRIES = 20


def near_by(space: FamilySpace, sampled: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Values for the searched parameters, near some others.

    Parameters
    ----------
    space : FamilySpace
    sampled : mapping of str to object
        The others; for a parameter that they do not have, since a condition is not met there, the declared default stands.
    seed : int
    """
    chance = random.Random(seed)

    def drawn(parameter: Parameter) -> Any:
        return moved(parameter.domain, parameter.domain.nearest(sampled.get(parameter.name, space.defaults[parameter.name])), chance)

    for _ in range(TRIES):
        found = space.sample(drawn)
        if found != sampled:
            break
    return found


def moved(domain: Domain, value: Any, chance: random.Random) -> Any:
    """A value of the domain: this one, or one near it."""
    if chance.random() >= CHANCE:
        return value
    if isinstance(domain, ChoiceDomain):
        return chance.choice(domain.values)
    low, high = _scaled(domain, domain.low), _scaled(domain, domain.high)
    while True:
        drawn = chance.gauss(_scaled(domain, value), WIDTH * (high - low))
        if low <= drawn <= high:
            return domain.nearest(math.exp(drawn) if domain.log else drawn)


def _scaled(domain: IntDomain | FloatDomain, value: float) -> float:
    return math.log(value) if domain.log else value

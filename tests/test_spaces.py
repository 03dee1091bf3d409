"""Every space file that is shipped loads with the real declarations, and says what it should."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from genre_models.families import FAMILIES
from genre_models.settings import DataSettings, FeatureSettings
from search.config import load_space
from search.domains import ChoiceDomain, FloatDomain, IntDomain
from search.space import Parameter

SPACES = sorted((Path(__file__).parents[1] / "spaces").rglob("*.yaml"))


def anything(parameter: Parameter, rng: random.Random) -> object:
    domain = parameter.domain
    if isinstance(domain, IntDomain):
        return rng.randrange(domain.low, domain.high + 1, domain.step)
    if isinstance(domain, FloatDomain):
        return rng.uniform(domain.low, domain.high) if domain.step is None else domain.low
    assert isinstance(domain, ChoiceDomain)
    return rng.choice(domain.values)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_load(path: Path) -> None:
    config = load_space(path, FAMILIES, {"data": DataSettings, "features": FeatureSettings})
    rng = random.Random(0)
    for name, space in config.families.items():
        for _ in range(20):
            values = space.resolve(space.sample(lambda parameter: anything(parameter, rng)))
            for declared in FAMILIES[name].parameters:
                if declared.kind in ("int", "float"):
                    assert declared.low <= values[declared.name] <= declared.high


def test_there_is_a_space_to_start_with() -> None:
    assert "cnn" in [path.stem for path in SPACES]
